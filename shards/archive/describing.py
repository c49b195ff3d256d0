"""A snapshot directory described file by file, and read again as described. Blocking."""

import hashlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from daemon.core.errors import SnapshotError
from shards.archive.contents import CHUNK_BYTES
from shards.archive.manifest import Manifest, ManifestFile, check_path


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


def describe(snapshot_dir: Path, facts: ManifestFacts, *, known: Mapping[str, str] | None = None) -> Manifest:
    """Return the manifest of all files below `snapshot_dir`.

    `known` gives the SHA-256 of files by path; these are not read here. What packs them finds out if it is wrong.

    Raises:
        SnapshotError: a file cannot be read.
    """
    digests = known or {}
    try:
        files = tuple(_measure(snapshot_dir, path, digests.get(path)) for path in _paths(snapshot_dir))
    except OSError as error:
        raise SnapshotError(f"snapshot cannot be read: {error.strerror}") from error
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
        files=files,
    )


def described_chunks(snapshot_dir: Path, file: ManifestFile) -> Iterator[bytes]:
    """Yield the bytes of a file that was described.

    Raises:
        SnapshotError: it is not what was described; at the end at the latest, and never after more bytes.
        OSError: of the disk.
    """
    digest, left = hashlib.sha256(), file.size_bytes
    for chunk in _chunks(snapshot_dir / file.path):
        left -= len(chunk)
        if left < 0:
            break
        digest.update(chunk)
        yield chunk
    if left or digest.hexdigest() != file.sha256:
        raise SnapshotError("a file changed while it was packed", path=file.path)


def _paths(snapshot_dir: Path) -> list[str]:
    found = [
        Path(folder, name).relative_to(snapshot_dir).as_posix()
        for folder, _, names in os.walk(snapshot_dir)
        for name in names
    ]
    return sorted(check_path(path) for path in found)


def _measure(snapshot_dir: Path, path: str, known: str | None) -> ManifestFile:
    if known is not None:
        return ManifestFile(path=path, size_bytes=(snapshot_dir / path).stat().st_size, sha256=known)
    digest, size = hashlib.sha256(), 0
    for chunk in _chunks(snapshot_dir / path):
        digest.update(chunk)
        size += len(chunk)
    return ManifestFile(path=path, size_bytes=size, sha256=digest.hexdigest())


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb", buffering=0) as file:
        while chunk := file.read(CHUNK_BYTES):
            yield chunk
