"""The form of an archive: a zip that ordinary tools open, `manifest.json` first, the files below `profile/`.

Times and modes are fixed and the files are in the order of their paths, so that equal content gives equal bytes. It
is written from front to back, so sizes and CRCs of an entry stand behind it (zip's data descriptors).
"""

import contextlib
import errno
import itertools
import stat
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from daemon.core.errors import ArchiveDamagedError, ArchiveUnsafeError
from shards.archive.bounds import UnpackLimits
from shards.archive.contents import CHUNK_BYTES, Contents, Pieces
from shards.archive.describing import described_chunks
from shards.archive.manifest import Manifest
from shards.archive.seal import BLANK
from shards.archive.streams import Sink

MAGIC = b"PK\x03\x04"
MANIFEST_NAME = "manifest.json"
PROFILE_FOLDER = "profile/"
"""The files are below this in the zip, so that none can take the manifest's name."""
_DEFLATE_LEVEL = 1
"""LevelDB tables are compressed already: higher levels cost time and save little."""
_NO_DEFLATE = 0
"""Deflate's own blocks of bytes as they are: unlike zip's kind "stored", every tool reads them from a stream."""
_SAMPLE_BYTES = 1 << 15
_WORTH_IT = 0.93
_FIXED_TIME = (1980, 1, 1, 0, 0, 0)
_UNIX = 3
_REGULAR_PRIVATE = 0o100600 << 16
_KINDS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_ENCRYPTED = 0x1


def write_zip(snapshot_dir: Path, manifest: Manifest, out: Sink) -> None:
    """Write the zip, its comment the blank seal.

    Raises:
        SnapshotError: a file is not what the manifest says any more.
        OSError: of the disk.
    """
    with zipfile.ZipFile(out, "w") as archive:
        archive.comment = BLANK
        archive.writestr(_entry(MANIFEST_NAME, 0), manifest.to_json(), compresslevel=_DEFLATE_LEVEL)
        for file in manifest.files:
            chunks = described_chunks(snapshot_dir, file)
            first = next(chunks, b"")
            described = _entry(PROFILE_FOLDER + file.path, file.size_bytes, level=_level(first))
            with archive.open(described, "w") as entry:
                for chunk in itertools.chain([first], chunks):
                    entry.write(chunk)


def read_zip(file: BinaryIO, limits: UnpackLimits) -> Contents:
    """Open an archive, whose seal was checked, and check the list of its entries against the manifest and the limits.

    Raises:
        ArchiveUnsafeError: made to do harm, or larger than the limits.
        ArchiveDamagedError: not one of our archives.
    """
    with reading_zip():
        archive = zipfile.ZipFile(file)
    manifest = zip_manifest(archive, limits)
    for entry in archive.infolist():
        check_entry(entry)
    limits.check([described.size_bytes for described in manifest.files])
    expected = [(PROFILE_FOLDER + described.path, described.size_bytes) for described in manifest.files]
    if [(entry.filename, entry.file_size) for entry in archive.infolist()[1:]] != expected:
        raise ArchiveDamagedError("archive does not hold exactly the files of its manifest")
    return Contents(manifest=manifest, pieces=_pieces(archive, manifest))


def check_entry(entry: zipfile.ZipInfo) -> None:
    """Check that an entry is a plain file of a kind that is read here.

    Raises:
        ArchiveUnsafeError, ArchiveDamagedError: it is not.
    """
    mode = entry.external_attr >> 16
    if stat.S_IFMT(mode) not in (0, stat.S_IFREG) or entry.is_dir():
        raise ArchiveUnsafeError("archive holds something that is not a plain file", path=ascii(entry.filename[:200]))
    if entry.filename != entry.orig_filename:
        raise ArchiveUnsafeError("archive holds an ambiguous name", path=ascii(entry.filename[:200]))
    if entry.compress_type not in _KINDS or entry.flag_bits & _ENCRYPTED:
        raise ArchiveDamagedError("archive holds an entry of an unknown kind", path=ascii(entry.filename[:200]))


def entry_chunks(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> Iterator[bytes]:
    """Yield the bytes of an entry, checked by its CRC at the end.

    Raises:
        ArchiveDamagedError: cut short, changed, or not readable.
    """
    with reading_zip():
        stream = archive.open(entry)
    with stream:
        while True:
            with reading_zip():
                chunk = stream.read(CHUNK_BYTES)
            if not chunk:
                return
            yield chunk


@contextlib.contextmanager
def reading_zip() -> Iterator[None]:
    """Turn everything that a malformed zip makes zipfile raise into one error; a disk that fails stays an OSError."""
    try:
        yield
    except OSError as error:
        # A seek to a place before the beginning, which a wrong offset in the zip asks for, is an OSError, too.
        if error.errno not in (None, errno.EINVAL):
            raise
        raise ArchiveDamagedError("archive is not readable: wrong offset") from error
    except (
        zipfile.BadZipFile,
        zlib.error,
        EOFError,
        RuntimeError,  # also NotImplementedError: encrypted, or a kind of compression that is not known
        ValueError,
        LookupError,
        OverflowError,
    ) as error:
        raise ArchiveDamagedError(f"archive is not readable: {type(error).__name__}") from error


def zip_manifest(archive: zipfile.ZipFile, limits: UnpackLimits) -> Manifest:
    entries = archive.infolist()
    if not entries or entries[0].filename != MANIFEST_NAME or entries[0].header_offset != 0:
        raise ArchiveDamagedError("the first entry is not the manifest")
    if len(entries) > limits.max_files + 1:
        raise ArchiveUnsafeError("archive holds too many files", files=len(entries), limit=limits.max_files)
    check_entry(entries[0])
    with reading_zip(), archive.open(entries[0]) as stream:
        content = stream.read(limits.max_manifest_bytes + 1)
    if len(content) > limits.max_manifest_bytes or len(content) != entries[0].file_size:
        raise ArchiveUnsafeError("manifest is larger than allowed", limit_bytes=limits.max_manifest_bytes)
    return Manifest.from_json(content)


def _pieces(archive: zipfile.ZipFile, manifest: Manifest) -> Pieces:
    for file, entry in zip(manifest.files, archive.infolist()[1:], strict=True):
        yield file, entry_chunks(archive, entry)


def _level(first: bytes) -> int:
    """Return the level for a file that begins like this: media, and tables of such values, do not get smaller."""
    sample = first[:_SAMPLE_BYTES]
    packed = len(zlib.compress(sample, _DEFLATE_LEVEL))
    return _DEFLATE_LEVEL if packed < _WORTH_IT * len(sample) or len(sample) < _SAMPLE_BYTES else _NO_DEFLATE


def _entry(name: str, size_bytes: int, *, level: int = _DEFLATE_LEVEL) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, _FIXED_TIME)
    entry.create_system = _UNIX
    entry.external_attr = _REGULAR_PRIVATE
    entry.compress_type = zipfile.ZIP_DEFLATED
    entry.file_size = size_bytes
    entry._compresslevel = level  # type: ignore[attr-defined]  # public only from Python 3.13 on
    return entry
