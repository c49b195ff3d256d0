"""The page caches in a profile: which directories they are, and which Chromium wrote them. Blocking.

They are never backed up: without them the page is downloaded again, and with damaged ones it may not start. So they
are only ever used by the Chromium that wrote them. headless-shell keeps no note of its version in a profile, so the
shard leaves one. The note also names the boot: Chromium does not sync its caches, so a power cut may have damaged them.
"""

import contextlib
import os
from pathlib import Path

CACHE_DIRS = ("Default/Cache", "Default/Code Cache", "Default/Service Worker")
_NOTE = "Caches Of"
_NOTE_CHARS = 200
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def chromium_key(version: str, binary: Path) -> str:
    """Return what caches belong to: full Chromium and headless-shell of one version do not use each other's."""
    return f"{version} {binary.name}"


def note_chromium(profile_dir: Path, key: str) -> None:
    """Note which Chromium is about to write the caches of this profile; without the note they are not used again."""
    with contextlib.suppress(OSError):
        (profile_dir / _NOTE).write_text(_note(key), encoding="utf-8")


def caches_of(profile_dir: Path, key: str) -> tuple[str, ...]:
    """Return the cache directories in this profile if this Chromium wrote them since the machine's start, else none."""
    try:
        with (profile_dir / _NOTE).open(encoding="utf-8") as note:
            if note.read(_NOTE_CHARS) != _note(key):
                return ()
    except (OSError, UnicodeDecodeError):
        return ()
    return tuple(name for name in CACHE_DIRS if os.path.isdir(profile_dir / name))


def _note(key: str) -> str:
    return f"{key} {_BOOT_ID.read_text().strip()}"
