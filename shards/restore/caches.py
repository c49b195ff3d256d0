"""The page caches of a session that is being restored: its own where they are still here, else a template's. Blocking.

They only save downloads: nothing here raises, and a restore goes on without them.
"""

from collections.abc import Sequence
from pathlib import Path

import structlog

from daemon.sessions.record import SessionRecord
from shards.context import ShardContext
from shards.page.script import page_origin
from shards.profile.caches import caches_of, chromium_key, note_chromium
from shards.profile.template import TemplateKey, newest, place

log = structlog.get_logger()

_FAILURES_BLAMED = 2
"""A killed Chromium is one failure and says nothing of the caches; a page that fails again may owe it to them."""


class PageCaches:
    """What is done about the caches of one session's profile."""

    def __init__(self, shard: ShardContext, record: SessionRecord) -> None:
        self._settings = shard.settings
        self._chromium = shard.chromium
        self._key = chromium_key(shard.chromium, shard.settings.browser.chromium_path)
        self._suspect = record.failures >= _FAILURES_BLAMED

    def to_keep(self, profile_dir: Path) -> Sequence[str]:
        """Return the directories to carry over when this profile is replaced."""
        return () if self._suspect else caches_of(profile_dir, self._key)

    def before_opening(self, profile_dir: Path, *, unpacked: bool) -> None:
        """Fill the caches of a profile that was `unpacked` from a copy, if so set, and note whose they are."""
        if unpacked and self._settings.browser.page_template == "on" and not self._suspect:
            self._place_template(profile_dir)
        note_chromium(profile_dir, self._key)

    def _place_template(self, profile_dir: Path) -> None:
        browser, paths = self._settings.browser, self._settings.paths
        key = TemplateKey(
            chromium=self._chromium, binary=browser.chromium_path.name, origin=page_origin(browser.web_url)
        )
        template = newest(paths.profile_root, key)
        if template is None:
            log.info("no page template for this Chromium", hint="blazz template make")
        elif place(template, profile_dir, min_free_bytes=paths.min_free_bytes):
            log.info("page template placed", wa_version=template.wa_version)
