"""Packing a snapshot directory into one archive: a zip that ordinary tools open. Blocking.

`manifest.json` is the first entry, the files follow in order of their paths, with fixed times and modes. Content is
streamed; at no time a whole file is in memory.
"""

import hashlib
import os
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

from daemon.core.errors import SnapshotError
from shards.archive.manifest import Manifest, ManifestFile, check_path, content_digest
from shards.archive.seal import BLANK, close_seal

MANIFEST_NAME = "manifest.json"
PROFILE_FOLDER = "profile/"
"""The files are below this in the zip, so that none can take the manifest's name."""
_DEFLATE_LEVEL = 1
"""LevelDB tables are compressed already: higher levels cost time and save little."""
_CHUNK_BYTES = 1 << 18
_FIXED_TIME = (1980, 1, 1, 0, 0, 0)
_UNIX = 3
_REGULAR_PRIVATE = 0o100600 << 16


@dataclass(frozen=True, kw_only=True)
class ManifestFacts:
    """What the manifest says besides the files; see `Manifest`."""

    session_id: str
    workspace_id: str
    user_id: str
    token: int
    generation: int
    created_at: datetime
    chromium: str
    clean: bool


@dataclass(frozen=True, kw_only=True)
class Packed:
    """A finished archive: its size and digests, and what is in it."""

    size_bytes: int
    sha256: str
    md5: str
    manifest: Manifest
    content_digest: str


def pack(snapshot_dir: Path, facts: ManifestFacts, out: Path) -> Packed:
    """Pack every file below `snapshot_dir` into the new file `out`.

    Raises:
        SnapshotError: a file changed while it was packed, or the disk is full; `out` is not left behind.
    """
    try:
        manifest = _describe(snapshot_dir, facts)
        with out.open("xb") as file:
            os.fchmod(file.fileno(), 0o600)
            _write(snapshot_dir, manifest, file)
        sealed = close_seal(out)
    except SnapshotError:
        out.unlink(missing_ok=True)
        raise
    except OSError as error:
        out.unlink(missing_ok=True)
        raise SnapshotError(f"snapshot cannot be packed: {error.strerror}", hint="is the disk full?") from error
    return Packed(
        size_bytes=sealed.size_bytes,
        sha256=sealed.sha256,
        md5=sealed.md5,
        manifest=manifest,
        content_digest=content_digest(manifest.files),
    )


def _describe(snapshot_dir: Path, facts: ManifestFacts) -> Manifest:
    return Manifest(
        session_id=facts.session_id,
        workspace_id=facts.workspace_id,
        user_id=facts.user_id,
        token=facts.token,
        generation=facts.generation,
        # The manifest keeps milliseconds: what is given back must equal what is read later.
        created_at=facts.created_at.replace(microsecond=facts.created_at.microsecond // 1000 * 1000),
        chromium=facts.chromium,
        clean=facts.clean,
        files=tuple(_measure(snapshot_dir, path) for path in _paths(snapshot_dir)),
    )


def _paths(snapshot_dir: Path) -> list[str]:
    found = [
        Path(folder, name).relative_to(snapshot_dir).as_posix()
        for folder, _, names in os.walk(snapshot_dir)
        for name in names
    ]
    return sorted(check_path(path) for path in found)


def _measure(snapshot_dir: Path, path: str) -> ManifestFile:
    digest, size = hashlib.sha256(), 0
    for chunk in _chunks(snapshot_dir / path):
        digest.update(chunk)
        size += len(chunk)
    return ManifestFile(path=path, size_bytes=size, sha256=digest.hexdigest())


def _write(snapshot_dir: Path, manifest: Manifest, file: BinaryIO) -> None:
    with zipfile.ZipFile(file, "w") as archive:
        archive.comment = BLANK
        archive.writestr(_entry(MANIFEST_NAME, 0), manifest.to_json(), compresslevel=_DEFLATE_LEVEL)
        for described in manifest.files:
            _write_file(archive, snapshot_dir, described)


def _write_file(archive: zipfile.ZipFile, snapshot_dir: Path, described: ManifestFile) -> None:
    digest = hashlib.sha256()
    with archive.open(_entry(PROFILE_FOLDER + described.path, described.size_bytes), "w") as entry:
        for chunk in _chunks(snapshot_dir / described.path):
            digest.update(chunk)
            entry.write(chunk)
    if digest.hexdigest() != described.sha256:
        raise SnapshotError("a file changed while it was packed", path=described.path)


def _entry(name: str, size_bytes: int) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, _FIXED_TIME)
    entry.create_system = _UNIX
    entry.external_attr = _REGULAR_PRIVATE
    entry.compress_type = zipfile.ZIP_DEFLATED
    entry.file_size = size_bytes
    entry._compresslevel = _DEFLATE_LEVEL  # type: ignore[attr-defined]  # public only from Python 3.13 on
    return entry


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            yield chunk
