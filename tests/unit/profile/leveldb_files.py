"""Makes LevelDB files as LevelDB writes them, for tests."""

import struct
from collections.abc import Iterable
from pathlib import Path

from shards.profile.leveldb_log import masked_crc

BLOCK = 32768
TABLE_BYTES = 2048


def varint(value: int) -> bytes:
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def text(value: bytes) -> bytes:
    return varint(len(value)) + value


def edit(
    *,
    log: int | None = None,
    prev: int | None = None,
    new: Iterable[int] = (),
    deleted: Iterable[int] = (),
    comparator: bytes = b"",
    table_bytes: int = TABLE_BYTES,
) -> bytes:
    out = b""
    if comparator:
        out += varint(1) + text(comparator)
    if log is not None:
        out += varint(2) + varint(log)
    if prev is not None:
        out += varint(9) + varint(prev)
    out += varint(3) + varint(1000) + varint(4) + varint(123456789) + varint(5) + varint(1) + text(b"pointer")
    for number in deleted:
        out += varint(6) + varint(0) + varint(number)
    for number in new:
        out += varint(7) + varint(1) + varint(number) + varint(table_bytes) + text(b"smallest") + text(b"largest")
    return out


def log_file(records: Iterable[bytes]) -> bytes:
    out = bytearray()
    for record in records:
        first = True
        while True:
            left = BLOCK - len(out) % BLOCK
            if left < 7:
                out += b"\0" * left
                continue
            part, record = record[: left - 7], record[left - 7 :]
            kind = (1 if not record else 2) if first else (4 if not record else 3)
            out += struct.pack("<IHB", masked_crc(bytes([kind]) + part), len(part), kind) + part
            first = False
            if not record:
                break
    return bytes(out)


def table(number: int) -> bytes:
    """Something of a table's size with a table's end."""
    return (b"table %d" % number).ljust(TABLE_BYTES - 8) + bytes.fromhex("57fb808b247547db")


def log(number: int) -> bytes:
    return log_file([b"first of log %d" % number, b"second" * 10_000])


def database(path: Path, *, tables: Iterable[int], logs: Iterable[int], manifest: bytes) -> Path:
    """Write a database directory with these numbers."""
    path.mkdir(parents=True)
    (path / "CURRENT").write_bytes(b"MANIFEST-000001\n")
    (path / "MANIFEST-000001").write_bytes(manifest)
    (path / "LOCK").touch()
    (path / "LOG").write_text("text for people")
    for number in tables:
        (path / f"{number:06d}.ldb").write_bytes(table(number))
    for number in logs:
        (path / f"{number:06d}.log").write_bytes(log(number))
    return path
