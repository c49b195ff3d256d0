"""The seal of a copy: a SHA-256 over all bytes before it, at the very end; of an archive it is the zip's comment.

zip's own CRCs cover the files but not the headers. With the seal, a cut or a changed bit anywhere is found before any
byte is interpreted. It guards against damage, not against a forger.
"""

import hashlib
import hmac
from typing import BinaryIO

from daemon.core.errors import ArchiveDamagedError
from shards.archive.streams import Sink

_TAG = b"blazz-sha256:"
_DIGEST_BYTES = 64
BLANK = _TAG + b"0" * _DIGEST_BYTES
"""What the last bytes must be when they are written; `Sealing` fills the digest in."""
_CHUNK_BYTES = 1 << 18


class Sealing:
    """A sink that passes bytes on to `out` and fills in the seal: what is written must end with `BLANK`."""

    def __init__(self, out: Sink) -> None:
        self._out = out
        self._digest = hashlib.sha256()
        self._held = b""

    def write(self, content: bytes, /) -> int:
        """Pass on all but the last bytes, which may be the place of the seal."""
        ready = self._held + content
        self._held = ready[-_DIGEST_BYTES:]
        ready = ready[:-_DIGEST_BYTES]
        self._digest.update(ready)
        self._out.write(ready)
        return len(content)

    def flush(self) -> None:
        """Do nothing: the last bytes have to wait."""

    def close(self) -> None:
        """Write the seal, and close what it is written to."""
        assert self._held == BLANK[-_DIGEST_BYTES:], "nothing may follow the place of the seal"
        self._out.write(self._digest.hexdigest().encode("ascii"))
        self._out.close()


def check_seal(file: BinaryIO) -> int:
    """Check the seal of a copy and return the size of what is before it; `file` is at its beginning again.

    Raises:
        ArchiveDamagedError: cut short, changed, or not one of our copies.
    """
    size = file.seek(0, 2)
    if size < len(BLANK):
        raise ArchiveDamagedError("archive is cut short", size_bytes=size)
    file.seek(size - len(BLANK))
    if file.read(len(_TAG)) != _TAG:
        raise ArchiveDamagedError("archive has no seal: it is cut short or was not made here", size_bytes=size)
    seal = file.read(_DIGEST_BYTES)
    digest = hashlib.sha256()
    file.seek(0)
    left = size - _DIGEST_BYTES
    while left and (chunk := file.read(min(left, _CHUNK_BYTES))):
        digest.update(chunk)
        left -= len(chunk)
    if left or not hmac.compare_digest(digest.hexdigest().encode(), seal):
        raise ArchiveDamagedError("archive does not match its seal", size_bytes=size)
    file.seek(0)
    return size - len(BLANK)
