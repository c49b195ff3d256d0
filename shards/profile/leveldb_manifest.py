"""Reading LevelDB's MANIFEST: which tables and logs of a database are in use. Pure; reads no files."""

from collections.abc import Mapping
from dataclasses import dataclass

from shards.profile.leveldb_log import DamagedFileError, records

_COMPARATOR, _LOG_NUMBER, _NEXT_FILE, _LAST_SEQUENCE = 1, 2, 3, 4
_COMPACT_POINTER, _DELETED, _NEW, _PREV_LOG = 5, 6, 7, 9
_NEEDED = {_LOG_NUMBER: "log number", _NEXT_FILE: "next file number", _LAST_SEQUENCE: "last sequence number"}


@dataclass(frozen=True, kw_only=True)
class LiveFiles:
    """What a MANIFEST says is in use. `tables` are number to size in bytes."""

    tables: Mapping[int, int]
    log_number: int
    prev_log_number: int
    manifest_bytes: int
    """How much of the MANIFEST was read: whole records only."""


def read_manifest(content: bytes) -> LiveFiles:
    """Replay the version edits of a MANIFEST (leveldb/db/version_edit.cc); a torn end is left out.

    Raises:
        DamagedFileError: not a MANIFEST, or one that LevelDB would not open.
    """
    tables: dict[int, int] = {}
    numbers: dict[int, int] = {}
    end = 0
    for record, after in records(content):
        try:
            _apply_edit(record, tables, numbers)
        except (IndexError, ValueError) as error:
            raise DamagedFileError(f"version edit is not readable: {error}") from None
        end = after
    for tag, name in _NEEDED.items():
        if tag not in numbers:
            raise DamagedFileError(f"no {name}")
    return LiveFiles(
        tables=tables,
        log_number=numbers[_LOG_NUMBER],
        prev_log_number=numbers.get(_PREV_LOG, 0),
        manifest_bytes=end,
    )


def _apply_edit(record: bytes, tables: dict[int, int], numbers: dict[int, int]) -> None:
    at = 0
    while at < len(record):
        tag, at = _varint(record, at)
        if tag in (_LOG_NUMBER, _PREV_LOG, _NEXT_FILE, _LAST_SEQUENCE):
            numbers[tag], at = _varint(record, at)
        elif tag == _COMPARATOR:
            at = _skip_slice(record, at)
        elif tag == _COMPACT_POINTER:
            _, at = _varint(record, at)
            at = _skip_slice(record, at)
        elif tag == _DELETED:
            _, at = _varint(record, at)
            number, at = _varint(record, at)
            tables.pop(number, None)
        elif tag == _NEW:
            _, at = _varint(record, at)
            number, at = _varint(record, at)
            tables[number], at = _varint(record, at)
            at = _skip_slice(record, _skip_slice(record, at))
        else:
            raise ValueError(f"unknown tag {tag}")


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
