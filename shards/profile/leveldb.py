"""A consistent copy of a LevelDB directory that Chromium may be writing at this moment.

LevelDB changes its directory in a fixed order (leveldb/doc/impl.md): tables are complete before MANIFEST names them
and never change; a log is only appended to, complete before the next one is made, and deleted after MANIFEST stopped
needing it. So a prefix of MANIFEST, the tables that this prefix names, and the logs from its log number on are a
state that the database really had. What can go wrong is that a file vanishes before it is copied; then the whole
copy is made again with a newer MANIFEST. Nothing is ever locked, and Chromium is not asked to wait.

The copies of MANIFEST and of the newest log end with their last whole record. That is more than tidiness: Chromium
goes on writing in the log that it finds (`reuse_logs`), so what it appends to a torn record becomes part of it, and at
the opening after that the checksum is wrong and Chromium begins with an empty database (google/leveldb issue 1287).
"""

import shutil
import time
from collections.abc import Callable
from pathlib import Path

from daemon.core.errors import SnapshotError
from shards.profile.copying import link_or_copy
from shards.profile.leveldb_directory import FilesInUse, MovedError, files_in_use, read_current
from shards.profile.leveldb_files import check_table, copy_log
from shards.profile.leveldb_log import DamagedFileError

_ATTEMPTS = 20
_DAMAGED_ATTEMPTS = 6
"""Damage does not heal in the short time that we wait; looking again only rules out a moment's view."""
_FIRST_PAUSE_S = 0.002
_LONGEST_PAUSE_S = 0.1


def copy_leveldb(
    source: Path, target: Path, *, attempts: int = _ATTEMPTS, pause: Callable[[float], None] = time.sleep
) -> bool:
    """Copy the database in directory `source` to the new directory `target`; tables are hard-linked where possible.

    Every record of MANIFEST and logs is verified by its checksum, every table by its size and end. The pauses between
    attempts add up to 1.5 s. Returns False, and makes nothing, when there is no database yet.

    Raises:
        SnapshotError: the database is damaged, or did not hold still; nothing is left behind.
    """
    damaged, problem = 0, ""
    for attempt in range(attempts):
        if attempt:
            pause(min(_FIRST_PAUSE_S * 2 ** (attempt - 1), _LONGEST_PAUSE_S))
        try:
            return _copy_once(source, target)
        except DamagedFileError as error:
            damaged += 1
            problem = f"database is damaged: {error}"
            if damaged == _DAMAGED_ATTEMPTS:
                break
        except (MovedError, FileNotFoundError) as error:
            problem = f"database did not hold still: {error}"
        except OSError as error:
            raise SnapshotError(f"database cannot be copied: {error.strerror}", database=source.name) from error
    raise SnapshotError(problem, database=source.name)


def _copy_once(source: Path, target: Path) -> bool:
    files = files_in_use(source)
    if files is None:
        return False
    try:
        target.mkdir(parents=True)
        _copy_files(source, target, files)
        if read_current(source) != files.current:
            raise MovedError("CURRENT changed")
    except BaseException:
        shutil.rmtree(target, ignore_errors=True)
        raise
    return True


def _copy_files(source: Path, target: Path, files: FilesInUse) -> None:
    for name, size_bytes in files.tables:
        link_or_copy(source / name, target / name)
        check_table(target / name, size_bytes)
    # Logs come last: what is done for blobs after this must follow the moment at which the newest log was read.
    for name in files.logs:
        copy_log(source / name, target / name, may_be_torn=name == files.newest_log)
    (target / files.manifest_name).write_bytes(files.manifest)
    (target / "CURRENT").write_bytes(files.current)
