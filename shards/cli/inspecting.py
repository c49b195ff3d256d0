"""What a file is: one of our copies, readable or sealed with a key that is not here, or the zip of a Node service.

Shown as JSON or as a table; everything shown was verified by the seal of the copy, but for the clear head of one that
cannot be opened.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from daemon.core.clock import iso
from daemon.core.errors import ArchiveDamagedError, ArchiveKeyMissingError
from daemon.core.printable import printable
from shards.archive.head import Head, read_head
from shards.archive.keyring import Keyring
from shards.archive.legacy import unpack_legacy
from shards.archive.manifest import Manifest, ManifestFile
from shards.archive.unpack import UnpackLimits, read_manifest
from shards.cli.adopting import CHROMIUM_NOT_KNOWN

_ZIP_MAGIC = b"PK\x03\x04"
_KINDS = {"archive": "archive", "hot": "hot copy", "remoteauth": "zip of a Node service (RemoteAuth)"}


@dataclass(frozen=True, kw_only=True)
class Inspected:
    """What a file is. `locked` is why its inside cannot be shown; then `manifest` is None and only `head` is known."""

    path: Path
    size_bytes: int
    kind: str
    """`archive`, `hot` or `remoteauth`."""
    head: Head | None = None
    manifest: Manifest | None = None
    files: tuple[ManifestFile, ...] | None = None
    locked: ArchiveKeyMissingError | None = None

    def to_json(self) -> dict[str, object]:
        """Return everything as JSON has it; what is not known is null."""
        manifest, head = self.manifest, self.head
        return {
            "path": str(self.path),
            "kind": self.kind,
            "size_bytes": self.size_bytes,
            "encrypted": head is not None and head.key_id is not None,
            "key_id": head.key_id if head else None,
            "readable": self.files is not None,
            "session_id": head.session_id if head else None,
            "workspace_id": manifest.workspace_id if manifest else None,
            "user_id": manifest.user_id if manifest else None,
            "token": head.token if head else None,
            "generation": head.generation if head else None,
            "created_at": iso(manifest.created_at) if manifest else None,
            "chromium": manifest.chromium if manifest else None,
            "clean": manifest.clean if manifest else None,
            "unpacked_bytes": sum(file.size_bytes for file in self.files) if self.files is not None else None,
            "files": [{"path": f.path, "size_bytes": f.size_bytes, "sha256": f.sha256} for f in self.files or ()],
        }


def inspect_file(path: Path, *, keyring: Keyring, limits: UnpackLimits, scratch: Path) -> Inspected:
    """Return what a file is.

    Raises:
        ArchiveDamagedError: damaged, or nothing that is known here.
    """
    size_bytes = path.stat().st_size
    try:
        head = read_head(path)
    except ArchiveDamagedError:
        if not is_zip(path):
            raise
        files = _remoteauth_files(path, limits, scratch / "theirs")
        return Inspected(path=path, size_bytes=size_bytes, kind="remoteauth", files=files)
    try:
        manifest = read_manifest(path, keyring=keyring, work_dir=scratch, limits=limits)
    except ArchiveKeyMissingError as error:
        return Inspected(path=path, size_bytes=size_bytes, kind=head.kind, head=head, locked=error)
    return Inspected(
        path=path, size_bytes=size_bytes, kind=head.kind, head=head, manifest=manifest, files=manifest.files
    )


def is_zip(path: Path) -> bool:
    """Whether a file begins as a zip does, which one of a Node service may be."""
    with path.open("rb") as file:
        return file.read(len(_ZIP_MAGIC)) == _ZIP_MAGIC


def _remoteauth_files(path: Path, limits: UnpackLimits, into: Path) -> tuple[ManifestFile, ...]:
    """Return what the zip of a Node service holds of a login."""
    unpack_legacy(path, into, limits=limits)
    found = sorted(file for file in into.rglob("*") if file.is_file())
    return tuple(_described(file, into) for file in found)


def _described(file: Path, root: Path) -> ManifestFile:
    with file.open("rb") as content:
        digest = hashlib.file_digest(content, "sha256").hexdigest()
    return ManifestFile(path=file.relative_to(root).as_posix(), size_bytes=file.stat().st_size, sha256=digest)


def show(inspected: Inspected, console: Console) -> None:
    """Print it for people."""
    facts = Table.grid(padding=(0, 2))
    for name, value in _facts(inspected):
        facts.add_row(name, printable(value))
    console.print(facts)
    if inspected.files is None:
        return
    files = Table(box=None)
    for name in ("file", "sha256"):
        files.add_column(name, overflow="fold")
    files.add_column("bytes", justify="right")
    for file in inspected.files:
        files.add_row(printable(file.path), file.sha256, f"{file.size_bytes:,}")
    console.print()
    console.print(files)


def _facts(inspected: Inspected) -> list[tuple[str, str]]:
    found = inspected.to_json()
    key_id = found["key_id"]
    sealed = f"with the key {key_id}" if key_id is not None else "no"
    rows = [("kind", _KINDS[inspected.kind]), ("encrypted", sealed)]
    if found["chromium"] == CHROMIUM_NOT_KNOWN:
        found["chromium"] = "not known"
    names = ("session_id", "workspace_id", "user_id", "token", "generation", "created_at", "chromium")
    rows += [(name.replace("_", " "), str(found[name])) for name in names if found[name] is not None]
    if inspected.manifest is not None:
        rows.append(("taken", "after Chromium had exited" if inspected.manifest.clean else "of a running Chromium"))
    rows.append(("bytes", f"{inspected.size_bytes:,}"))
    if inspected.files is not None:
        unpacked = sum(file.size_bytes for file in inspected.files)
        rows.append(("unpacked", f"{unpacked:,} bytes in {len(inspected.files)} files"))
    return rows
