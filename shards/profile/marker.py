"""The mark of a profile that was left clean: Chromium exited by itself, and nothing has touched the files since.

It says which `(token, generation)` the files are, so that the next start on this shard can use them as they are instead
of fetching a copy. It holds the fingerprint of the files that matter: once Chromium has written to any of them, the
profile counts as touched. It is then still what grew out of that state, and so worth more than any older copy.
"""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from daemon.core.files import sync_directory, write_atomic
from shards.profile.files import relevant_files
from shards.profile.snapshot import fingerprint

_NAME = "blazz-left-clean.json"
"""In the profile, so that it goes with it; not among the files that are archived."""


@dataclass(frozen=True, kw_only=True)
class LeftClean:
    """What the files of a profile were at the mark. `chromium` is the version that wrote them."""

    session_id: str
    token: int
    generation: int
    chromium: str

    @property
    def order(self) -> tuple[int, int]:
        """The pair that orders this state among all copies of the session."""
        return (self.token, self.generation)


def mark_left_clean(profile_dir: Path, left: LeftClean) -> None:
    """Mark a profile whose Chromium has exited by itself; on return files and mark are on the disk.

    Raises:
        OSError: it is not marked; the next start fetches a copy.
    """
    _sync(profile_dir)  # Chromium does not, and a mark must not survive a power cut that the files do not
    content = asdict(left) | {"fingerprint": fingerprint(profile_dir)}
    write_atomic(profile_dir / _NAME, json.dumps(content).encode())


def read_left_clean(profile_dir: Path) -> LeftClean | None:
    """Return what a marked profile holds; None when it is not marked or was touched since."""
    left, untouched = read_mark(profile_dir)
    return left if untouched else None


def read_mark(profile_dir: Path) -> tuple[LeftClean | None, bool]:
    """Return the mark of a profile, None if it has none, and whether the files are still what it says."""
    try:
        raw = json.loads((profile_dir / _NAME).read_bytes())
        left = LeftClean(**{name: raw[name] for name in LeftClean.__dataclass_fields__})
        sound = isinstance(left.token, int) and isinstance(left.generation, int)
        untouched = raw["fingerprint"] == fingerprint(profile_dir)
    except (OSError, ValueError, KeyError, TypeError):
        return None, False
    return (left, untouched) if sound else (None, False)


def _sync(profile_dir: Path) -> None:
    files = [profile_dir / path for path in relevant_files(profile_dir)]
    for file in files:
        handle = os.open(file, os.O_RDONLY | os.O_NOFOLLOW)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
    for folder in {file.parent for file in files}:
        sync_directory(folder)
