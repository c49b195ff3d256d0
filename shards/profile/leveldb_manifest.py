"""Reading LevelDB's MANIFEST: which tables and logs of a database are in use. Pure; reads no files."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from daemon.core.errors import SnapshotError

_BLOCK_BYTES = 32768
_HEADER = struct.Struct("<IHB")
_FULL, _FIRST, _MIDDLE, _LAST = 1, 2, 3, 4
_COMPARATOR, _LOG_NUMBER, _NEXT_FILE, _LAST_SEQUENCE = 1, 2, 3, 4
_COMPACT_POINTER, _DELETED, _NEW, _PREV_LOG = 5, 6, 7, 9


@dataclass(frozen=True, kw_only=True)
class LiveFiles:
    """What a MANIFEST says is in use."""

    tables: frozenset[int]
    log_number: int
    prev_log_number: int
    manifest_bytes: int
    """How much of the MANIFEST was read: whole records only."""


def read_manifest(content: bytes, database: str = "") -> LiveFiles:
    """Replay the version edits of a MANIFEST (leveldb/db/version_edit.cc).

    Raises:
        SnapshotError: not a MANIFEST.
    """
    tables: set[int] = set()
    numbers = {_LOG_NUMBER: 0, _PREV_LOG: 0}
    end = 0
    try:
        for record, after in read_records(content):
            _apply_edit(record, tables, numbers)
            end = after
    except (IndexError, ValueError) as error:
        raise SnapshotError(f"MANIFEST is not readable: {error}", database=database) from error
    if not end:
        raise SnapshotError("MANIFEST is empty", database=database)
    return LiveFiles(
        tables=frozenset(tables),
        log_number=numbers[_LOG_NUMBER],
        prev_log_number=numbers[_PREV_LOG],
        manifest_bytes=end,
    )


def _apply_edit(record: bytes, tables: set[int], numbers: dict[int, int]) -> None:
    at = 0
    while at < len(record):
        tag, at = _varint(record, at)
        if tag in (_LOG_NUMBER, _PREV_LOG):
            numbers[tag], at = _varint(record, at)
        elif tag in (_NEXT_FILE, _LAST_SEQUENCE):
            _, at = _varint(record, at)
        elif tag == _COMPARATOR:
            at = _skip_slice(record, at)
        elif tag == _COMPACT_POINTER:
            _, at = _varint(record, at)
            at = _skip_slice(record, at)
        elif tag == _DELETED:
            _, at = _varint(record, at)
            number, at = _varint(record, at)
            tables.discard(number)
        elif tag == _NEW:
            _, at = _varint(record, at)
            number, at = _varint(record, at)
            _, at = _varint(record, at)
            at = _skip_slice(record, _skip_slice(record, at))
            tables.add(number)
        else:
            raise ValueError(f"unknown tag {tag}")


def read_records(content: bytes) -> Iterator[tuple[bytes, int]]:
    """Yield each whole record of a log-format file with the position after it (leveldb/doc/log_format.md).

    A torn end is left out without an error.
    """
    at, parts, started = 0, b"", False
    while at + _HEADER.size <= len(content):
        left = _BLOCK_BYTES - at % _BLOCK_BYTES
        if left < _HEADER.size:
            at += left
            continue
        _, length, kind = _HEADER.unpack_from(content, at)
        if kind == 0 and length == 0:
            at += left
            continue
        begin = at + _HEADER.size
        if length > left - _HEADER.size or not _FULL <= kind <= _LAST:
            raise ValueError(f"bad record at byte {at}")
        if begin + length > len(content):
            return
        if (kind in (_MIDDLE, _LAST)) != started:
            raise ValueError(f"record parts out of order at byte {at}")
        parts += content[begin : begin + length]
        at = begin + length
        started = kind in (_FIRST, _MIDDLE)
        if not started:
            yield parts, at
            parts = b""


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
        if shift > 63:
            raise ValueError("number too long")


def _skip_slice(data: bytes, at: int) -> int:
    length, at = _varint(data, at)
    if at + length > len(data):
        raise ValueError("text too long")
    return at + length
