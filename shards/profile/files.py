"""Which files of a Chromium user-data-dir are a session's state. An allow-list: everything else is never backed up.

The login and the messages are in IndexedDB, some keys in localStorage, and the site's cookies in one SQLite file.
Caches, service workers, locks and temporary files are made again by Chromium (measured on headless-shell 156: such a
cut-down profile opens on another machine with its non-extractable keys usable). headless-shell keeps its cookies in
`Default/Cookies`; full Chromium may keep them in `Default/Network/Cookies`.
"""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

LOCAL_STORAGE = "Default/Local Storage/leveldb"
INDEXED_DB = "Default/IndexedDB"
COOKIE_FILES = ("Default/Cookies", "Default/Network/Cookies")
JOURNAL_SUFFIX = "-journal"

_LEVELDB_FILE = re.compile(r"CURRENT|MANIFEST-\d+|\d+\.(?:log|ldb|sst)")
_DATABASE = ".indexeddb.leveldb"
_BLOBS = ".indexeddb.blob"


@dataclass(frozen=True, kw_only=True)
class Origin:
    """The IndexedDB directories of one origin, relative to the profile; `blobs` may not exist on disk."""

    database: str
    blobs: str


def origins(profile_dir: Path) -> tuple[Origin, ...]:
    """Return the origins that have an IndexedDB in this profile, by name."""
    return tuple(
        Origin(
            database=f"{INDEXED_DB}/{name}",
            blobs=f"{INDEXED_DB}/{name.removesuffix(_DATABASE)}{_BLOBS}",
        )
        for name in _directories(profile_dir / INDEXED_DB)
        if name.endswith(_DATABASE)
    )


def unknown_databases(profile_dir: Path) -> tuple[str, ...]:
    """Return the directories of IndexedDB that are of no form known here.

    Chromium is about to keep IndexedDB in SQLite (features IdbSqliteBackingStore and IdbSqliteOnDiskRollout), in
    directories without a suffix. A copy without them would lack the login.
    """
    return tuple(name for name in _directories(profile_dir / INDEXED_DB) if not name.endswith((_DATABASE, _BLOBS)))


def is_leveldb_file(name: str) -> bool:
    """Whether a file of this name is part of a LevelDB database; `LOCK`, `LOG` and temporary files are not."""
    return _LEVELDB_FILE.fullmatch(name) is not None


def blob_files(profile_dir: Path, blobs: str) -> Iterator[str]:
    """Yield the files below a blob directory as paths relative to the profile; none if it does not exist."""
    for folder, _, names in os.walk(profile_dir / blobs):
        for name in sorted(names):
            path = Path(folder, name)
            if path.is_file() and not path.is_symlink():
                yield path.relative_to(profile_dir).as_posix()


def relevant_files(profile_dir: Path) -> Iterator[str]:
    """Yield every file that counts, as paths relative to the profile, in a stable order.

    Of a live profile this is a moment's view: files may have gone when they are looked at.
    """
    for origin in origins(profile_dir):
        yield from _leveldb_files(profile_dir, origin.database)
        yield from blob_files(profile_dir, origin.blobs)
    yield from _leveldb_files(profile_dir, LOCAL_STORAGE)
    for cookies in COOKIE_FILES:
        for path in (cookies, cookies + JOURNAL_SUFFIX):
            if (profile_dir / path).is_file():
                yield path


def _leveldb_files(profile_dir: Path, database: str) -> Iterator[str]:
    try:
        names = sorted(os.listdir(profile_dir / database))
    except FileNotFoundError:
        return
    yield from (f"{database}/{name}" for name in names if is_leveldb_file(name))


def _directories(path: Path) -> list[str]:
    try:
        with os.scandir(path) as entries:
            return sorted(entry.name for entry in entries if entry.is_dir(follow_symlinks=False))
    except FileNotFoundError:
        return []


def holds_login(profile_dir: Path) -> bool:
    """Whether a profile may hold a login: WhatsApp Web keeps its keys in IndexedDB."""
    return (profile_dir / "Default" / "IndexedDB").is_dir()
