"""Making a profile fit to be opened again after its Chromium was killed. Only while no Chromium uses it. Blocking.

A Chromium that is killed while it appends leaves a torn record, and the next one appends to that: at the opening after
it finds a wrong checksum, says nothing, and begins with an empty database (google/leveldb issue 1287; measured on
headless-shell 156). So torn ends are cut off before Chromium starts, and what it would empty is not opened at all.
"""

import os
from collections.abc import Iterator
from pathlib import Path

from daemon.core.errors import DamagedError
from shards.profile.files import LOCAL_STORAGE, origins
from shards.profile.leveldb_directory import MovedError, files_in_use
from shards.profile.leveldb_files import check_table, whole_log_bytes
from shards.profile.leveldb_log import DamagedFileError


def mend(profile_dir: Path) -> tuple[str, ...]:
    """Cut off what a killed Chromium left half written in its databases; return the files that were cut.

    Reads MANIFEST and logs, some megabytes at most. A profile that is whole, or empty, is left as it is.

    Raises:
        DamagedError: Chromium would empty a database of this profile; use a stored copy instead.
    """
    cut: list[str] = []
    for path in (LOCAL_STORAGE, *(origin.database for origin in origins(profile_dir))):
        try:
            for torn, whole_bytes in list(_torn_files(profile_dir / path)):
                _cut(torn, whole_bytes)
                cut.append(torn.relative_to(profile_dir).as_posix())
        except (DamagedFileError, MovedError, FileNotFoundError) as error:
            raise DamagedError(f"profile is damaged: {error}", database=path) from error
    return tuple(cut)


def _torn_files(database: Path) -> Iterator[tuple[Path, int]]:
    """Check a database; yield the files that end in a torn record, with the size that they should have."""
    files = files_in_use(database)
    if files is None:
        return
    for name, size_bytes in files.tables:
        check_table(database / name, size_bytes)
    if files.manifest_is_torn:
        yield database / files.manifest_name, len(files.manifest)
    for name in files.logs:
        whole_bytes = whole_log_bytes(database / name)
        # An older log is not written to again: its torn end, which a power cut leaves, does no more harm.
        if name == files.newest_log and whole_bytes < (database / name).stat().st_size:
            yield database / name, whole_bytes


def _cut(path: Path, size_bytes: int) -> None:
    with path.open("r+b") as file:
        file.truncate(size_bytes)
        os.fsync(file.fileno())
