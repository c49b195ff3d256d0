"""The clear beginning of a hot copy and of an encrypted copy: which copy of which session this is. Pure.

    magic        8 bytes
    kind         1 byte: 1 archive, 2 hot copy
    token        8 bytes, big endian
    generation   8 bytes, big endian
    session id   1 byte with its length, then ASCII
    key id       the same; of length 0 when the copy is not encrypted

All numbers of the formats of this package are unsigned and big endian.
"""

import io
import re
import struct
from dataclasses import dataclass
from typing import BinaryIO, Literal

from daemon.core.errors import ArchiveDamagedError, InvalidInputError
from daemon.core.ids import check_id

Kind = Literal["archive", "hot"]
MAGIC_BYTES = 8
_KINDS: dict[int, Kind] = {1: "archive", 2: "hot"}
_NUMBERS = struct.Struct(">BQQ")
_KEY_ID = re.compile(rb"[A-Za-z0-9_-]{0,32}")


@dataclass(frozen=True, kw_only=True)
class Head:
    """What a copy says of itself before it is verified. `key_id` is None when it is not encrypted."""

    kind: Kind
    session_id: str
    token: int
    generation: int
    key_id: str | None

    @property
    def order(self) -> tuple[int, int]:
        """The pair that orders all copies of one session; the highest is the newest."""
        return (self.token, self.generation)


def head_bytes(magic: bytes, head: Head) -> bytes:
    """Return what `read_head_bytes` reads."""
    kind = next(number for number, name in _KINDS.items() if name == head.kind)
    numbers = _NUMBERS.pack(kind, head.token, head.generation)
    return magic + numbers + _text(head.session_id) + _text(head.key_id or "")


def read_head_bytes(file: BinaryIO) -> Head:
    """Read a head whose magic has been read already.

    Raises:
        ArchiveDamagedError: cut short, or not as it must be.
    """
    kind, token, generation = _NUMBERS.unpack(read_exactly(file, _NUMBERS.size))
    session_id, key_id = _read_text(file), _read_text(file)
    if kind not in _KINDS or not _KEY_ID.fullmatch(key_id):
        raise ArchiveDamagedError("head of the copy is not valid")
    try:
        checked = check_id(session_id.decode("ascii"), "session_id")
    except (UnicodeDecodeError, InvalidInputError):
        raise ArchiveDamagedError("head of the copy names no session") from None
    return Head(
        kind=_KINDS[kind], session_id=checked, token=token, generation=generation,
        key_id=key_id.decode("ascii") or None,
    )  # fmt: skip


def read_exactly(file: BinaryIO | io.RawIOBase, size: int) -> bytes:
    """Read `size` bytes.

    Raises:
        ArchiveDamagedError: there are fewer.
    """
    content = b""
    while len(content) < size:
        part = file.read(size - len(content))
        if not part:
            raise ArchiveDamagedError("copy is cut short")
        content += part
    return content


def _text(value: str) -> bytes:
    coded = value.encode("ascii")
    return bytes([len(coded)]) + coded


def _read_text(file: BinaryIO) -> bytes:
    return read_exactly(file, read_exactly(file, 1)[0])
