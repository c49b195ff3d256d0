"""Reading LevelDB's log format, in which both its logs and its MANIFEST are written. Pure; opens no files.

A file is a row of blocks, and a record is one or more parts, none of which crosses a block; each part carries a
masked CRC32C of its kind and content (leveldb/doc/log_format.md). Chromium writes the seven bytes of a part's header
and its content with one `write` each (third_party/leveldatabase/env_chromium.cc), so a file that is being appended
to can end inside a header, inside a content, between the parts of a record or inside a block's trailer; and after a
power cut in zeros. All of that is a torn end: what was begun there was never acknowledged. Anything else that does
not add up is damage.
"""

import struct
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import google_crc32c

BLOCK_BYTES = 32768
_HEADER = struct.Struct("<IHB")
_KIND_OFFSET = 6
_FULL, _FIRST, _MIDDLE, _LAST = 1, 2, 3, 4
_MASK_DELTA = 0xA282EAD8
_32_BITS = 0xFFFFFFFF


class DamagedFileError(Exception):
    """A file of a database is not what LevelDB wrote."""


class Part(NamedTuple):
    """A part of a record whose checksum holds; `end` is the position after it in its file."""

    content: bytes
    end: int
    ends_record: bool


def parts(blocks: Iterable[bytes]) -> Iterator[Part]:
    """Yield the parts of all records up to a torn end; a last record may lack its last part.

    `blocks` are the file's bytes in pieces of BLOCK_BYTES, of which only the last may be shorter.

    Raises:
        DamagedFileError: a checksum, length, kind or order that LevelDB does not write.
    """
    base, inside = 0, False
    rest = iter(blocks)
    for block in rest:
        at = 0
        while at + _HEADER.size <= len(block):
            crc, length, kind = _HEADER.unpack_from(block, at)
            begin, end = at + _HEADER.size, at + _HEADER.size + length
            if kind == 0 and length == 0:
                _expect_zeros(block[at:], rest, base + at)
                return
            if end > BLOCK_BYTES or not _FULL <= kind <= _LAST:
                raise DamagedFileError(f"no record begins at byte {base + at}")
            if end > len(block):
                return
            if masked_crc(block[at + _KIND_OFFSET : end]) != crc:
                raise DamagedFileError(f"wrong checksum at byte {base + at}")
            if (kind in (_MIDDLE, _LAST)) != inside:
                raise DamagedFileError(f"parts of a record are out of order at byte {base + at}")
            inside = kind in (_FIRST, _MIDDLE)
            yield Part(block[begin:end], base + end, not inside)
            at = end
        base += len(block)


def records(content: bytes) -> Iterator[tuple[bytes, int]]:
    """Yield each whole record of a file's content with the position after it. Raises as `parts` does."""
    pieces: list[bytes] = []
    for part in parts(content[at : at + BLOCK_BYTES] for at in range(0, len(content), BLOCK_BYTES)):
        pieces.append(part.content)
        if part.ends_record:
            yield b"".join(pieces), part.end
            pieces.clear()


def masked_crc(kind_and_content: bytes) -> int:
    """Return the checksum as it stands in a header (leveldb/util/crc32c.h)."""
    crc = int(google_crc32c.value(kind_and_content))
    return (((crc >> 15) | (crc << 17)) + _MASK_DELTA) & _32_BITS


def _expect_zeros(block: bytes, rest: Iterator[bytes], at: int) -> None:
    """LevelDB skips zeros without a word, and with them whatever was appended after them in the same block."""
    if any(block) or any(any(other) for other in rest):
        raise DamagedFileError(f"zeros in the middle at byte {at}")
