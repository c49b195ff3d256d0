"""Unpacking what the `RemoteAuth` of whatsapp-web.js left in a bucket: a zip without a manifest or a seal. Blocking.

Written by archiver 7: deflate, data descriptors, entries for directories, unix modes. Current versions hold
`Default/IndexedDB` and `Default/Local Storage`; older ones a whole profile, maybe below one folder. All that protects
it are zip's own CRCs and that everything is there twice: in front of each file and in the directory at the end. Both
are compared, and every byte up to the directory has to belong to exactly one entry.
"""

import hashlib
import re
import struct
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

from daemon.core.errors import ArchiveDamagedError
from shards.archive.bounds import UnpackLimits
from shards.archive.contents import Pieces
from shards.archive.manifest import ManifestFile, check_path, check_paths
from shards.archive.opening import disk_errors
from shards.archive.placing import place
from shards.archive.preface import read_exactly
from shards.archive.zipped import check_entry, entry_chunks, reading_zip

_LEVELDB = r"(?:CURRENT|MANIFEST-\d+|\d+\.(?:log|ldb|sst))"
_WANTED = re.compile(
    rf"Default/IndexedDB/[^/]+\.indexeddb\.leveldb/{_LEVELDB}"
    r"|Default/IndexedDB/[^/]+\.indexeddb\.blob/.+"
    rf"|Default/Local Storage/leveldb/{_LEVELDB}"
    r"|Default/(?:Network/)?Cookies(?:-journal)?"
)
_DATABASE = re.compile(r"Default/IndexedDB/[^/]+\.indexeddb\.leveldb/CURRENT")
_LOCAL_HEADER = struct.Struct("<4s5H3I2H")
_LOCAL_MAGIC = b"PK\x03\x04"
_DESCRIPTOR_MAGIC = b"PK\x07\x08"
_HAS_DESCRIPTOR = 0x8
_UTF8 = 0x800


def unpack_legacy(source: Path, into: Path, *, limits: UnpackLimits, keep: Sequence[str] = ()) -> None:
    """Put the login in a RemoteAuth zip at the directory `into`, replacing what is there; nothing else of it.

    `keep` are directories to carry over from what is replaced, as with `unpack`.

    Everything is read and checked before the first byte is written. On return everything is on the disk; on any error
    `into` is as it was, and nothing is left behind.

    Raises:
        ArchiveUnsafeError: made to do harm, or larger than the limits.
        ArchiveDamagedError: cut short, changed, or without a login.
        UnavailableError: the disk does not take it, or does not give it.
    """
    with disk_errors(), source.open("rb") as file:
        with reading_zip():
            archive = zipfile.ZipFile(file)
        _check_layout(archive, file)
        wanted = _wanted(archive)
        limits.check([entry.file_size for entry in wanted.values()])
        files = [_measure(archive, path, entry) for path, entry in wanted.items()]
        place(_pieces(archive, files, wanted), into, keep=keep)


def _check_layout(archive: zipfile.ZipFile, file: BinaryIO) -> None:
    """Check that the entries lie one behind the other and that each is named in both places alike."""
    at = 0
    for entry in sorted(archive.infolist(), key=lambda entry: entry.header_offset):
        if entry.header_offset != at:
            raise ArchiveDamagedError("archive has gaps or overlaps between its entries")
        at = _end_of(entry, file)
    if at != archive.start_dir:
        raise ArchiveDamagedError("archive has bytes that belong to no entry")


def _end_of(entry: zipfile.ZipInfo, file: BinaryIO) -> int:
    file.seek(entry.header_offset)
    fields = _LOCAL_HEADER.unpack(read_exactly(file, _LOCAL_HEADER.size))
    magic, flags, name_bytes, extra_bytes = fields[0], fields[2], fields[9], fields[10]
    name = read_exactly(file, name_bytes)
    if magic != _LOCAL_MAGIC or name != _coded_name(entry) or flags != entry.flag_bits:
        raise ArchiveDamagedError("archive does not name a file alike in both places", path=ascii(entry.filename[:200]))
    end = file.seek(extra_bytes + entry.compress_size, 1)
    return end + _descriptor_bytes(entry, file) if entry.flag_bits & _HAS_DESCRIPTOR else end


def _coded_name(entry: zipfile.ZipInfo) -> bytes:
    return entry.orig_filename.encode("utf-8" if entry.flag_bits & _UTF8 else "cp437")


def _descriptor_bytes(entry: zipfile.ZipInfo, file: BinaryIO) -> int:
    """Return the size of the sizes and CRC behind an entry; with or without a magic, of 32 or 64 bits."""
    found = file.read(24)
    for magic in (_DESCRIPTOR_MAGIC, b""):
        for form in ("<LQQ", "<LLL"):
            if form == "<LLL" and max(entry.compress_size, entry.file_size) >= 1 << 32:
                continue
            if found.startswith(
                descriptor := magic + struct.pack(form, entry.CRC, entry.compress_size, entry.file_size)
            ):
                return len(descriptor)
    raise ArchiveDamagedError("archive does not describe a file alike in both places", path=ascii(entry.filename[:200]))


def _wanted(archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    """Return the entries of the login by their paths in a profile, in order.

    What is left out may be of any kind, as `SingletonLock` is a link; no path of any entry may lead out.
    """
    found: list[tuple[str, str, zipfile.ZipInfo]] = []
    for entry in archive.infolist():
        path = check_path(entry.filename.removesuffix("/"))
        folder, path = _split(path)
        if _WANTED.fullmatch(path) and not entry.is_dir():
            check_entry(entry)
            found.append((folder, path, entry))
    paths = sorted(path for _, path, _ in found)
    if len({folder for folder, _, _ in found}) > 1:
        raise ArchiveDamagedError("archive holds more than one profile")
    if not any(_DATABASE.fullmatch(path) for path in paths):
        raise ArchiveDamagedError("archive holds no IndexedDB, so no login")
    check_paths(paths)
    by_path = {path: entry for _, path, entry in found}
    return {path: by_path[path] for path in paths}


def _split(path: str) -> tuple[str, str]:
    """Return the folder that the profile lies in, empty for none, and the path in the profile."""
    first, _, rest = path.partition("/")
    return (first, rest) if rest.startswith("Default/") else ("", path)


def _measure(archive: zipfile.ZipFile, path: str, entry: zipfile.ZipInfo) -> ManifestFile:
    digest, size = hashlib.sha256(), 0
    for chunk in entry_chunks(archive, entry):
        digest.update(chunk)
        size += len(chunk)
    if size != entry.file_size:
        raise ArchiveDamagedError("a file is shorter than the archive says", path=path)
    return ManifestFile(path=path, size_bytes=size, sha256=digest.hexdigest())


def _pieces(archive: zipfile.ZipFile, files: list[ManifestFile], entries: dict[str, zipfile.ZipInfo]) -> Pieces:
    for file in files:
        yield file, entry_chunks(archive, entries[file.path])
