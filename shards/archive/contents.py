"""What a reader of any form gives: the manifest and, one after the other, the bytes of the files. Nothing is trusted.

`verified` is the only way from there to anything that uses the bytes.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

from daemon.core.errors import ArchiveDamagedError, ArchiveUnsafeError
from shards.archive.manifest import Manifest, ManifestFile

CHUNK_BYTES = 1 << 18

Pieces = Iterator[tuple[ManifestFile, Iterator[bytes]]]
"""Files in the order of the manifest; the bytes of one are to be taken before the next is asked for."""


@dataclass(frozen=True, kw_only=True)
class Contents:
    """One opened copy."""

    manifest: Manifest
    pieces: Pieces


def verified(file: ManifestFile, chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Pass on the bytes of a file; they are what was packed only when the end is reached without an error.

    Raises:
        ArchiveUnsafeError: more than the manifest says; stopped there.
        ArchiveDamagedError: not what the manifest says.
    """
    digest, left = hashlib.sha256(), file.size_bytes
    for chunk in chunks:
        left -= len(chunk)
        if left < 0:
            raise ArchiveUnsafeError("a file is larger than the manifest says", path=file.path)
        digest.update(chunk)
        yield chunk
    if left or digest.hexdigest() != file.sha256:
        raise ArchiveDamagedError("a file does not match its SHA-256", path=file.path)


def check_pieces(pieces: Pieces) -> None:
    """Read every file to its end and keep nothing.

    Raises:
        ArchiveDamagedError: as `verified`.
    """
    for file, chunks in pieces:
        for _ in verified(file, chunks):
            pass
