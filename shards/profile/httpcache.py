"""Which entries of Chromium's HTTP cache may be shared: those whose answer says that it never changes. Blocking.

Form of an entry's file `<hash>_0` (net/disk_cache/simple/simple_entry_format.h in Chromium): a header, the key, the
body, a record about the body, the answer's headers, maybe the SHA-256 of the key, a record about the headers.
"""

import os
import re
import struct
from pathlib import Path

ENTRY = re.compile(r"([0-9a-f]{16})_[01s]")
"""A file of an entry; the first group tells which entry."""
_END = struct.Struct("<QIII4x")
_END_MAGIC = 0xF4FA6F45970D41D8
_HAS_KEY_DIGEST = 2
_DIGEST_BYTES = 32
_MAX_HEADER_BYTES = 1_000_000


def is_immutable(first: Path) -> bool:
    """Whether the answer in the file `<hash>_0` of an entry is immutable; False for any file of another form."""
    with first.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        if size < _END.size:
            return False
        file.seek(size - _END.size)
        magic, flags, _, header_bytes = _END.unpack(file.read(_END.size))
        start = size - _END.size - (_DIGEST_BYTES if flags & _HAS_KEY_DIGEST else 0) - header_bytes
        if magic != _END_MAGIC or header_bytes > _MAX_HEADER_BYTES or start < 0:
            return False
        file.seek(start)
        lines = file.read(header_bytes).split(b"\0")
    return any(_says_immutable(line) for line in lines)


def _says_immutable(line: bytes) -> bool:
    name, _, value = line.lower().partition(b":")
    return name == b"cache-control" and b"immutable" in {part.strip() for part in value.split(b",")}
