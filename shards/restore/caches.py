"""The page caches of a session that is being restored: its own where they are still here. Blocking.

They only save downloads: nothing here raises, and a restore goes on without them.
"""

from collections.abc import Sequence
from pathlib import Path

from daemon.sessions.record import SessionRecord
from shards.context import ShardContext
from shards.profile.caches import caches_of, chromium_key, note_chromium

_FAILURES_BLAMED = 2
"""A killed Chromium is one failure and says nothing of the caches; a page that fails again may owe it to them."""


class PageCaches:
    """What is done about the caches of one session's profile."""

    def __init__(self, shard: ShardContext, record: SessionRecord) -> None:
        self._key = chromium_key(shard.chromium, shard.settings.browser.chromium_path)
        self._suspect = record.failures >= _FAILURES_BLAMED

    def to_keep(self, profile_dir: Path) -> Sequence[str]:
        """Return the directories to carry over when this profile is replaced."""
        return () if self._suspect else caches_of(profile_dir, self._key)

    def before_opening(self, profile_dir: Path) -> None:
        """Note on a restored profile which Chromium will write its caches."""
        note_chromium(profile_dir, self._key)
