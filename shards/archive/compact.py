"""The form of a hot copy: one Zstandard frame (RFC 8878), as small and as fast to make as can be.

    head          see `preface`, magic `blazz-h1`, no key id
    frame         Zstandard of: 4 bytes with the size of the manifest, the manifest as JSON, then the bytes of the
                  files one after the other in its order
    seal          see `seal`

All files are in one frame, so that what they have in common is stored once. How many bytes there are is known from
the manifest; no more than that is ever unpacked.
"""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import IO, BinaryIO, cast

import zstandard

from daemon.core.errors import ArchiveDamagedError, ArchiveUnsafeError
from shards.archive.bounds import UnpackLimits
from shards.archive.contents import CHUNK_BYTES, Contents, Pieces
from shards.archive.describing import described_chunks
from shards.archive.manifest import Manifest
from shards.archive.preface import MAGIC_BYTES, Head, head_bytes, read_head_bytes
from shards.archive.seal import BLANK
from shards.archive.streams import Sink

MAGIC = b"blazz-h1"
_LEVEL = 3
_MAX_WINDOW_BYTES = 8 << 20
_SIZE = struct.Struct(">I")


def write_compact(snapshot_dir: Path, manifest: Manifest, out: Sink) -> None:
    """Write the hot copy, with a blank seal at its end.

    Raises:
        SnapshotError: a file is not what the manifest says any more.
        TooLargeError: of `out`.
    """
    listed = manifest.to_json()
    size = _SIZE.size + len(listed) + sum(file.size_bytes for file in manifest.files)
    out.write(head_bytes(MAGIC, head_of(manifest)))
    frame = zstandard.ZstdCompressor(level=_LEVEL).compressobj(size=size)
    out.write(frame.compress(_SIZE.pack(len(listed)) + listed))
    for file in manifest.files:
        for chunk in described_chunks(snapshot_dir, file):
            out.write(frame.compress(chunk))
    out.write(frame.flush())
    out.write(BLANK)


def head_of(manifest: Manifest) -> Head:
    """Return the head that a hot copy with this manifest has."""
    return Head(
        kind="hot",
        session_id=manifest.session_id,
        token=manifest.token,
        generation=manifest.generation,
        key_id=None,
    )


def read_compact(file: BinaryIO, limits: UnpackLimits, size_bytes: int) -> Contents:
    """Open a hot copy whose seal was checked; `size_bytes` is the size of what is before the seal.

    Raises:
        ArchiveUnsafeError: made to do harm, or larger than the limits.
        ArchiveDamagedError: not one of our hot copies.
    """
    file.seek(MAGIC_BYTES)
    head = read_head_bytes(file)
    reader = _Frame(file, size_bytes - file.tell())
    (size,) = _SIZE.unpack(reader.take(_SIZE.size))
    if size > limits.max_manifest_bytes:
        raise ArchiveUnsafeError("manifest is larger than allowed", limit_bytes=limits.max_manifest_bytes)
    manifest = Manifest.from_json(reader.take(size))
    if head_of(manifest) != head:
        raise ArchiveDamagedError("hot copy does not hold what its head says", session_id=head.session_id)
    limits.check([described.size_bytes for described in manifest.files])
    return Contents(manifest=manifest, pieces=_pieces(reader, manifest))


def _pieces(reader: "_Frame", manifest: Manifest) -> Pieces:
    for file in manifest.files:
        yield file, reader.chunks(file.size_bytes)
    if reader.more():
        raise ArchiveUnsafeError("hot copy holds more than its manifest says", session_id=manifest.session_id)


class _Frame:
    """Reads the frame piece by piece; never unpacks more than it is asked for."""

    def __init__(self, file: BinaryIO, size_bytes: int) -> None:
        self._file = file
        self._left = size_bytes
        opened = zstandard.ZstdDecompressor(max_window_size=_MAX_WINDOW_BYTES)
        self._reader = opened.stream_reader(cast(IO[bytes], self), read_size=CHUNK_BYTES)

    def read(self, size: int = -1) -> bytes:
        """Give packed bytes to the decompressor, none from behind the frame's place."""
        content = self._file.read(min(size, self._left) if size >= 0 else self._left)
        self._left -= len(content)
        return content

    def chunks(self, size_bytes: int) -> Iterator[bytes]:
        """Yield the next `size_bytes` unpacked bytes."""
        left = size_bytes
        while left:
            chunk = self._unpacked(min(left, CHUNK_BYTES))
            if not chunk:
                raise ArchiveDamagedError("hot copy is cut short")
            left -= len(chunk)
            yield chunk

    def take(self, size_bytes: int) -> bytes:
        """Return the next `size_bytes` unpacked bytes as a whole."""
        return b"".join(self.chunks(size_bytes))

    def more(self) -> bool:
        """Whether anything is left, unpacked or packed."""
        return bool(self._unpacked(1)) or self._left > 0

    def _unpacked(self, size: int) -> bytes:
        try:
            return self._reader.read(size)
        except zstandard.ZstdError as error:
            raise ArchiveDamagedError("hot copy cannot be decompressed") from error
