"""The seal of an archive: a SHA-256 over all bytes before it, kept as the zip's comment at the very end.

zip's own CRCs cover the files but not the headers. With the seal, a cut or a changed bit anywhere is found before any
byte is interpreted. It guards against damage, not against a forger.
"""

import hashlib
import hmac
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from daemon.core.errors import ArchiveDamagedError

_TAG = b"blazz-sha256:"
_DIGEST_BYTES = 64
BLANK = _TAG + b"0" * _DIGEST_BYTES
"""The comment to write first; `close_seal` fills it in."""
_CHUNK_BYTES = 1 << 18


@dataclass(frozen=True, kw_only=True)
class Sealed:
    """Size and digests of a finished archive. `md5` is what object stores give as ETag."""

    size_bytes: int
    sha256: str
    md5: str


def close_seal(path: Path) -> Sealed:
    """Fill in the seal of an archive whose last bytes are `BLANK`."""
    with path.open("r+b") as file:
        size = file.seek(0, 2)
        sha = hashlib.sha256()
        md5 = hashlib.md5(usedforsecurity=False)
        file.seek(0)
        left = size - _DIGEST_BYTES
        while left:
            chunk = file.read(min(left, _CHUNK_BYTES))
            sha.update(chunk)
            md5.update(chunk)
            left -= len(chunk)
        seal = sha.hexdigest().encode()
        file.seek(size - _DIGEST_BYTES)
        file.write(seal)
    sha.update(seal)
    md5.update(seal)
    return Sealed(size_bytes=size, sha256=sha.hexdigest(), md5=md5.hexdigest())


def check_seal(file: BinaryIO) -> None:
    """Check the seal of an archive.

    Raises:
        ArchiveDamagedError: cut short, changed, or not one of our archives.
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
