"""The mark of a profile that was left clean: Chromium exited by itself, and nothing has touched the files since.

It says which `(token, generation)` the files are, so that the next start on this shard can use them as they are instead
of fetching a copy. It is removed before Chromium opens the profile again, and does not count when any file that
matters was changed meanwhile.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from daemon.core.files import sync_directory, write_atomic
from shards.profile.snapshot import fingerprint

_NAME = "blazz-left-clean.json"
"""In the profile, so that it goes with it; not among the files that are archived."""


@dataclass(frozen=True, kw_only=True)
class LeftClean:
    """What the files of a profile are. `chromium` is the version that wrote them."""

    session_id: str
    token: int
    generation: int
    chromium: str

    @property
    def order(self) -> tuple[int, int]:
        """The pair that orders this state among all copies of the session."""
        return (self.token, self.generation)


def mark_left_clean(profile_dir: Path, left: LeftClean) -> None:
    """Mark a profile whose Chromium has exited by itself.

    Raises:
        OSError: it is not marked; the next start fetches a copy.
    """
    content = asdict(left) | {"fingerprint": fingerprint(profile_dir)}
    write_atomic(profile_dir / _NAME, json.dumps(content).encode())


def read_left_clean(profile_dir: Path) -> LeftClean | None:
    """Return what a marked profile holds; None when it is not marked or was touched since."""
    try:
        raw = json.loads((profile_dir / _NAME).read_bytes())
        left = LeftClean(**{name: raw[name] for name in LeftClean.__dataclass_fields__})
        numbers = isinstance(left.token, int) and isinstance(left.generation, int)
        untouched = raw["fingerprint"] == fingerprint(profile_dir)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return left if numbers and untouched else None


def remove_mark(profile_dir: Path) -> None:
    """Remove the mark, durably: Chromium is about to write."""
    try:
        (profile_dir / _NAME).unlink()
    except FileNotFoundError:
        return
    sync_directory(profile_dir)
