"""Single files of a LevelDB database: copying a log up to its last whole record, and checking a table."""

import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from shards.profile.leveldb_log import BLOCK_BYTES, DamagedFileError, parts

_MAGIC = struct.pack("<Q", 0xDB4775248B80FB57)
_FOOTER_BYTES = 48
"""Two block handles, padded, and the magic number (leveldb/doc/table_format.md)."""


def copy_log(source: Path, target: Path, *, may_be_torn: bool) -> None:
    """Copy the log that `source` is at this moment to the new file `target`, up to its last whole record.

    By content and never by a clone, which would make its writer, and so the page, wait for the disk.

    Raises:
        DamagedFileError: a record is damaged, or the log ends inside one and `may_be_torn` is false.
        FileNotFoundError: the log has gone.
    """
    with source.open("rb") as old, target.open("xb") as new:
        size_bytes = os.fstat(old.fileno()).st_size
        whole_bytes = _check_log(_copying(old, new, size_bytes), source.name)
        if whole_bytes < size_bytes and not may_be_torn:
            raise DamagedFileError(f"{source.name}: ends inside a record although a newer log exists")
        new.truncate(whole_bytes)


def whole_log_bytes(path: Path) -> int:
    """Return where the last whole record of a log or MANIFEST ends.

    Raises:
        DamagedFileError: a record before its end is damaged.
    """
    with path.open("rb") as file:
        return _check_log(_blocks(file, os.fstat(file.fileno()).st_size), path.name)


def check_table(path: Path, size_bytes: int) -> None:
    """Check that a table has the size that MANIFEST says and ends as a table ends.

    Raises:
        DamagedFileError: it does not.
    """
    with path.open("rb") as file:
        found_bytes = os.fstat(file.fileno()).st_size
        if found_bytes != size_bytes or size_bytes < _FOOTER_BYTES:
            raise DamagedFileError(f"{path.name}: {found_bytes} bytes instead of {size_bytes}")
        file.seek(-len(_MAGIC), os.SEEK_END)
        if file.read() != _MAGIC:
            raise DamagedFileError(f"{path.name}: does not end as a table ends")


def _check_log(blocks: Iterator[bytes], name: str) -> int:
    whole_bytes = 0
    try:
        for part in parts(blocks):
            if part.ends_record:
                whole_bytes = part.end
    except DamagedFileError as error:
        raise DamagedFileError(f"{name}: {error}") from None
    return whole_bytes


def _blocks(file: BinaryIO, size_bytes: int) -> Iterator[bytes]:
    """Yield the first `size_bytes` of a file, however it grows meanwhile."""
    left_bytes = size_bytes
    while left_bytes and (block := file.read(min(BLOCK_BYTES, left_bytes))):
        left_bytes -= len(block)
        yield block


def _copying(old: BinaryIO, new: BinaryIO, size_bytes: int) -> Iterator[bytes]:
    for block in _blocks(old, size_bytes):
        new.write(block)
        yield block
