"""Reading which files of a LevelDB directory are in use at one moment. Changes nothing."""

import os
from dataclasses import dataclass
from pathlib import Path

from shards.profile.files import is_leveldb_file
from shards.profile.leveldb_log import DamagedFileError
from shards.profile.leveldb_manifest import LiveFiles, read_manifest


class MovedError(Exception):
    """The database went on while it was looked at; look again."""


@dataclass(frozen=True, kw_only=True)
class FilesInUse:
    """The files that together are one state of a database. `manifest` is whole records only."""

    current: bytes
    manifest_name: str
    manifest: bytes
    manifest_is_torn: bool
    tables: tuple[tuple[str, int], ...]
    """Names with their sizes in bytes."""
    logs: tuple[str, ...]
    """Names in the order in which they were written."""
    newest_log: str
    """The one that was last written to, in use or not: the only one that may be torn. Empty when there is none."""


def files_in_use(database: Path) -> FilesInUse | None:
    """Return what a database consists of now, or None when there is no database yet.

    Raises:
        MovedError: a file went away meanwhile, or was never there.
        DamagedFileError: CURRENT or MANIFEST is not what LevelDB wrote.
    """
    current = read_current(database)
    if current is None:
        return None
    name = _manifest_name(current)
    try:
        manifest = (database / name).read_bytes()
    except FileNotFoundError:
        raise MovedError(f"{name} is gone") from None
    live = _live_files(manifest, name)
    # Listed after MANIFEST was read and before anything is copied: all logs but the highest are complete by now, and
    # one that is made later must not be copied, as the end of the one before it would be missing.
    names = set(os.listdir(database))
    numbers = sorted(int(name[:-4]) for name in names if name.endswith(".log") and name[:-4].isdecimal())
    return FilesInUse(
        current=current,
        manifest_name=name,
        manifest=manifest[: live.manifest_bytes],
        manifest_is_torn=live.manifest_bytes < len(manifest),
        tables=tuple((_table_name(number, names), size) for number, size in sorted(live.tables.items())),
        logs=tuple(_log_name(number) for number in _logs_in_use(numbers, live)),
        newest_log=_log_name(numbers[-1]) if numbers else "",
    )


def read_current(database: Path) -> bytes | None:
    """Return the content of CURRENT, or None when there is no database.

    Raises:
        DamagedFileError: there is one, but no CURRENT.
    """
    try:
        return (database / "CURRENT").read_bytes()
    except FileNotFoundError:
        pass
    # While a database is made, its first MANIFEST is there before CURRENT. Taking one that lost its CURRENT for none
    # at all would store a copy without the login.
    if database.is_dir() and any(is_leveldb_file(name) for name in os.listdir(database)):
        raise DamagedFileError("CURRENT is missing")
    return None


def _manifest_name(current: bytes) -> str:
    name = current.removesuffix(b"\n").decode("ascii", "replace")
    if not current.endswith(b"\n") or not name.startswith("MANIFEST-") or not name[9:].isdecimal():
        raise DamagedFileError("CURRENT does not name a MANIFEST")
    return name


def _live_files(manifest: bytes, name: str) -> LiveFiles:
    try:
        return read_manifest(manifest)
    except DamagedFileError as error:
        raise DamagedFileError(f"{name}: {error}") from None


def _table_name(number: int, names: set[str]) -> str:
    for suffix in (".ldb", ".sst"):
        name = f"{number:06d}{suffix}"
        if name in names:
            return name
    raise MovedError(f"table {number} is gone")


def _logs_in_use(present: list[int], live: LiveFiles) -> list[int]:
    for needed in (live.log_number, live.prev_log_number):
        if needed and needed not in present:
            raise MovedError(f"{_log_name(needed)} is gone")
    return [number for number in present if number >= live.log_number or number == live.prev_log_number]


def _log_name(number: int) -> str:
    return f"{number:06d}.log"
