"""`read_head`: which copy this is, without a key and without unpacking it."""

import io
import zipfile
from pathlib import Path
from typing import BinaryIO

from daemon.core.errors import ArchiveDamagedError
from shards.archive import compact, envelope, zipped
from shards.archive.bounds import UnpackLimits
from shards.archive.opening import disk_errors
from shards.archive.preface import MAGIC_BYTES, Head, read_head_bytes

__all__ = ["Head", "read_head"]


def read_head(source: Path | bytes) -> Head:
    """Return what a copy says of itself. Nothing is verified: unpack it with `Expected(order=...)` afterwards.

    Raises:
        ArchiveDamagedError: not one of our copies.
        UnavailableError: the file cannot be read.
    """
    with disk_errors(), io.BytesIO(source) if isinstance(source, bytes) else source.open("rb") as file:
        return _read(file)


def _read(file: BinaryIO) -> Head:
    magic = file.read(MAGIC_BYTES)
    if magic == envelope.MAGIC:
        return envelope.read_envelope(file).head
    if magic == compact.MAGIC:
        head = read_head_bytes(file)
        if head.kind != "hot" or head.key_id is not None:
            raise ArchiveDamagedError("head of the hot copy is not valid", session_id=head.session_id)
        return head
    if not magic.startswith(zipped.MAGIC):
        raise ArchiveDamagedError("copy is cut short or was not made here")
    with zipped.reading_zip():
        archive = zipfile.ZipFile(file)
    manifest = zipped.zip_manifest(archive, UnpackLimits())
    return Head(
        kind="archive",
        session_id=manifest.session_id,
        token=manifest.token,
        generation=manifest.generation,
        key_id=None,
    )
