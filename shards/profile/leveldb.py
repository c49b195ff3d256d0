"""A consistent copy of a LevelDB directory that Chromium may be writing at this moment.

LevelDB changes its directory in a fixed order (leveldb/doc/impl.md): tables are complete before MANIFEST names them
and never change; a log is only appended to, and deleted after MANIFEST stopped needing it. So a prefix of MANIFEST,
the tables that this prefix names, and the logs from its log number on are a state that the database really had. What
can go wrong is that a file vanishes before it is copied; then the whole copy is made again with a newer MANIFEST.

The copy of the newest log may end inside a record. LevelDB takes that as a writer that died there and drops the
torn record, which was not part of any finished write.
"""

import os
import shutil
from pathlib import Path

from daemon.core.errors import SnapshotError
from shards.profile.copying import link_or_copy
from shards.profile.leveldb_manifest import LiveFiles, read_manifest

_ATTEMPTS = 20


class _MovedError(Exception):
    """The database went on while it was copied; begin again."""


def copy_leveldb(source: Path, target: Path, *, attempts: int = _ATTEMPTS) -> bool:
    """Copy the database in directory `source` to the new directory `target`; tables are hard-linked where possible.

    Returns False, and makes nothing, when there is no database yet (no `CURRENT`).

    Raises:
        SnapshotError: not possible in this many attempts, or the database is not readable; nothing is left behind.
    """
    reason = ""
    for _ in range(attempts):
        try:
            return _copy_once(source, target)
        except (_MovedError, FileNotFoundError) as error:
            shutil.rmtree(target, ignore_errors=True)
            reason = str(error)
        except OSError as error:
            shutil.rmtree(target, ignore_errors=True)
            raise SnapshotError(f"database cannot be copied: {error.strerror}", database=source.name) from error
        except SnapshotError:
            shutil.rmtree(target, ignore_errors=True)
            raise
    raise SnapshotError(f"database did not hold still: {reason}", database=source.name, attempts=attempts)


def _copy_once(source: Path, target: Path) -> bool:
    current = _read_current(source)
    if current is None:
        return False
    manifest_name = _manifest_name(current, source.name)
    try:
        manifest = (source / manifest_name).read_bytes()
    except FileNotFoundError:
        raise _MovedError(f"{manifest_name} is gone") from None
    live = read_manifest(manifest, source.name)
    # Listed after MANIFEST was read and before anything is copied: all logs but the highest are complete by now, and
    # one that is made later must not be copied, as the end of the one before it would be missing.
    names = set(os.listdir(source))
    logs = _logs(names, live)
    target.mkdir(parents=True)
    for number in sorted(live.tables):
        _take(source, target, _table_name(number, names), immutable=True)
    for number in logs:
        _take(source, target, f"{number:06d}.log", immutable=False)
    (target / manifest_name).write_bytes(manifest[: live.manifest_bytes])
    (target / "CURRENT").write_bytes(current)
    if _read_current(source) != current:
        raise _MovedError("CURRENT changed")
    return True


def _take(source: Path, target: Path, name: str, *, immutable: bool) -> None:
    try:
        if immutable:
            link_or_copy(source / name, target / name)
        else:
            shutil.copyfile(source / name, target / name)
    except FileNotFoundError:
        raise _MovedError(f"{name} is gone") from None


def _read_current(source: Path) -> bytes | None:
    try:
        return (source / "CURRENT").read_bytes()
    except FileNotFoundError:
        return None


def _manifest_name(current: bytes, database: str) -> str:
    name = current.removesuffix(b"\n").decode("ascii", "replace")
    if not current.endswith(b"\n") or not name.startswith("MANIFEST-") or not name[9:].isdecimal():
        raise SnapshotError("CURRENT does not name a MANIFEST", database=database)
    return name


def _table_name(number: int, names: set[str]) -> str:
    for suffix in (".ldb", ".sst"):
        name = f"{number:06d}{suffix}"
        if name in names:
            return name
    raise _MovedError(f"table {number} is gone")


def _logs(names: set[str], live: LiveFiles) -> list[int]:
    present = sorted(int(name[:-4]) for name in names if name.endswith(".log") and name[:-4].isdecimal())
    for needed in (live.log_number, live.prev_log_number):
        if needed and needed not in present:
            raise _MovedError(f"log {needed} is gone")
    return [number for number in present if number >= live.log_number or number == live.prev_log_number]
