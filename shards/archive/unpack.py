"""Unpacking an archive: everything is verified in a directory of its own before it takes its place. Blocking.

An archive from outside is not trusted: names, sizes, kinds and counts are checked before the first byte is written,
and only what the manifest lists is ever written. Whatever is wrong is a typed error and leaves nothing behind.
"""

import contextlib
import hashlib
import io
import os
import secrets
import shutil
import stat
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from daemon.core.errors import ArchiveDamagedError, ArchiveTooNewError, ArchiveUnsafeError, UnavailableError
from daemon.core.files import sync_directory
from shards.archive.manifest import Manifest, ManifestFile, version_numbers
from shards.archive.pack import MANIFEST_NAME, PROFILE_FOLDER
from shards.archive.seal import check_seal

_CHUNK_BYTES = 1 << 18
_MIB = 1 << 20
_KINDS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_ENCRYPTED = 0x1


@dataclass(frozen=True, kw_only=True)
class UnpackLimits:
    """The most that an archive may unpack to."""

    max_files: int = 20_000
    max_file_bytes: int = 1024 * _MIB
    max_total_bytes: int = 2048 * _MIB
    max_manifest_bytes: int = 8 * _MIB


def unpack(
    source: Path | bytes,
    into: Path,
    *,
    limits: UnpackLimits,
    session_id: str | None = None,
    max_chromium: str | None = None,
) -> Manifest:
    """Verify an archive and put its files at the directory `into`, replacing what is there.

    On return everything is on the disk. On any error `into` is as it was. The work is done in a hidden directory
    beside `into`. `session_id` is whose archive it must be; `max_chromium` is the newest version that may have
    written it. Versions are compared as a whole and by number: 156.0.8079 is newer than 156.0.8078, because nothing
    promises that an older build reads what a newer one wrote.

    Raises:
        ArchiveUnsafeError: made to do harm, or larger than the limits.
        ArchiveDamagedError: not what was packed, or another session's; use an older copy.
        ArchiveTooNewError: undamaged, but written by a newer Chromium; update Chromium here.
        UnavailableError: the disk does not take it.
    """
    with _opened(source) as archive:
        manifest = _checked_manifest(archive, limits)
        _expect(manifest, session_id=session_id, max_chromium=max_chromium)
        fresh = into.with_name(f".{into.name}.{secrets.token_hex(4)}.new")
        try:
            fresh.mkdir(mode=0o700)
            for file in manifest.files:
                _extract(archive, file, fresh)
            _sync_tree(fresh)
            _put_in_place(fresh, into)
        except OSError as error:
            raise UnavailableError(
                f"profile cannot be written: {error.strerror}", hint="free disk space under PROFILE_ROOT"
            ) from error
        finally:
            shutil.rmtree(fresh, ignore_errors=True)
    return manifest


def read_manifest(source: Path | bytes, *, limits: UnpackLimits | None = None) -> Manifest:
    """Return the manifest of an archive whose seal holds; its files are not unpacked.

    Raises:
        ArchiveDamagedError: not one of our archives, or not as it was packed.
    """
    with _opened(source) as archive:
        return _checked_manifest(archive, limits or UnpackLimits())


@contextlib.contextmanager
def _opened(source: Path | bytes) -> Iterator[zipfile.ZipFile]:
    file: BinaryIO = io.BytesIO(source) if isinstance(source, bytes) else source.open("rb")
    with file:
        check_seal(file)
        with _reading():
            archive = zipfile.ZipFile(file)
        with archive:
            yield archive


@contextlib.contextmanager
def _reading() -> Iterator[None]:
    """Turn everything that a malformed zip makes zipfile raise into one error."""
    try:
        yield
    except (
        zipfile.BadZipFile,
        zlib.error,
        EOFError,
        OSError,
        RuntimeError,  # also NotImplementedError: encrypted, or a kind of compression that is not known
        ValueError,
        LookupError,
        OverflowError,
    ) as error:
        raise ArchiveDamagedError(f"archive is not readable: {type(error).__name__}") from error


def _checked_manifest(archive: zipfile.ZipFile, limits: UnpackLimits) -> Manifest:
    """Return the manifest after checking the list of entries against it and the limits."""
    entries = archive.infolist()
    if not entries or entries[0].filename != MANIFEST_NAME or entries[0].header_offset != 0:
        raise ArchiveDamagedError("the first entry is not the manifest")
    if len(entries) > limits.max_files + 1:
        raise ArchiveUnsafeError("archive holds too many files", files=len(entries), limit=limits.max_files)
    for entry in entries:
        _check_entry(entry)
    manifest = Manifest.from_json(_read_small(archive, entries[0], limits.max_manifest_bytes))
    _check_sizes(manifest, limits)
    expected = [(PROFILE_FOLDER + file.path, file.size_bytes) for file in manifest.files]
    if [(entry.filename, entry.file_size) for entry in entries[1:]] != expected:
        raise ArchiveDamagedError("archive does not hold exactly the files of its manifest")
    return manifest


def _check_entry(entry: zipfile.ZipInfo) -> None:
    mode = entry.external_attr >> 16
    if stat.S_IFMT(mode) not in (0, stat.S_IFREG) or entry.is_dir():
        raise ArchiveUnsafeError("archive holds something that is not a plain file", path=ascii(entry.filename[:200]))
    if entry.filename != entry.orig_filename:
        raise ArchiveUnsafeError("archive holds an ambiguous name", path=ascii(entry.filename[:200]))
    if entry.compress_type not in _KINDS or entry.flag_bits & _ENCRYPTED:
        raise ArchiveDamagedError("archive holds an entry of an unknown kind", path=ascii(entry.filename[:200]))


def _check_sizes(manifest: Manifest, limits: UnpackLimits) -> None:
    total = sum(file.size_bytes for file in manifest.files)
    largest = max((file.size_bytes for file in manifest.files), default=0)
    if total > limits.max_total_bytes or largest > limits.max_file_bytes:
        raise ArchiveUnsafeError("archive unpacks to more than allowed", size_bytes=total)


def _read_small(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, limit_bytes: int) -> bytes:
    with _reading(), archive.open(entry) as stream:
        content = stream.read(limit_bytes + 1)
    if len(content) > limit_bytes or len(content) != entry.file_size:
        raise ArchiveUnsafeError("manifest is larger than allowed", limit_bytes=limit_bytes)
    return content


def _expect(manifest: Manifest, *, session_id: str | None, max_chromium: str | None) -> None:
    if session_id is not None and manifest.session_id != session_id:
        raise ArchiveDamagedError(
            "archive belongs to another session", session_id=session_id, archive_session_id=manifest.session_id
        )
    if max_chromium is not None and version_numbers(manifest.chromium) > version_numbers(max_chromium):
        raise ArchiveTooNewError(
            "profile was written by a newer Chromium",
            hint=f"update Chromium on this host to {manifest.chromium} or later",
            session_id=manifest.session_id,
            written_by=manifest.chromium,
            here=max_chromium,
        )


def _extract(archive: zipfile.ZipFile, file: ManifestFile, root: Path) -> None:
    """Write one file, verify it and bring it to the disk."""
    target = root / file.path
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    digest, left = hashlib.sha256(), file.size_bytes
    with target.open("xb") as out:
        os.fchmod(out.fileno(), 0o600)
        for chunk in _entry_chunks(archive, PROFILE_FOLDER + file.path):
            left -= len(chunk)
            if left < 0:
                raise ArchiveUnsafeError("a file is larger than the manifest says", path=file.path)
            digest.update(chunk)
            out.write(chunk)
        out.flush()
        os.fsync(out.fileno())
    if left or digest.hexdigest() != file.sha256:
        raise ArchiveDamagedError("a file does not match its SHA-256", path=file.path)


def _entry_chunks(archive: zipfile.ZipFile, name: str) -> Iterator[bytes]:
    with _reading():
        stream = archive.open(name)
    with stream:
        while True:
            with _reading():
                chunk = stream.read(_CHUNK_BYTES)
            if not chunk:
                return
            yield chunk


def _sync_tree(root: Path) -> None:
    for folder, _, _ in os.walk(root):
        sync_directory(Path(folder))


def _put_in_place(fresh: Path, into: Path) -> None:
    """Rename the new directory to its place; what is there goes aside first and comes back if that fails."""
    aside = into.with_name(f".{into.name}.{secrets.token_hex(4)}.old")
    replaced = into.exists()
    if replaced:
        os.rename(into, aside)
    try:
        os.rename(fresh, into)
    except OSError:
        if replaced:
            os.rename(aside, into)
        raise
    sync_directory(into.parent)
    shutil.rmtree(aside, ignore_errors=True)
