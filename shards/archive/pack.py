"""Packing a snapshot directory into one archive, encrypted if there is a key. Blocking.

Content is streamed from the snapshot's files to the archive; at no time a whole file is in memory, and nothing is
written to the disk besides the archive itself.
"""

import dataclasses
import os
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from daemon.core.errors import SnapshotError
from shards.archive.compact import head_of
from shards.archive.describing import ManifestFacts, describe
from shards.archive.envelope import Enveloping
from shards.archive.keyring import Keyring
from shards.archive.manifest import Manifest, content_digest
from shards.archive.seal import Sealing
from shards.archive.streams import Measured, Sink
from shards.archive.zipped import write_zip

__all__ = ["ManifestFacts", "Packed", "describe", "pack"]


@dataclass(frozen=True, kw_only=True)
class Packed:
    """A finished archive: size and digests of its bytes, and what is in it."""

    size_bytes: int
    sha256: str
    md5: str
    manifest: Manifest
    content_digest: str
    key_id: str | None
    """The key it is encrypted with."""


def pack(snapshot_dir: Path, manifest: Manifest, out: Path, *, keyring: Keyring) -> Packed:
    """Pack the files of `manifest` from `snapshot_dir` into the new file `out`, readable by its owner only.

    Raises:
        SnapshotError: a file is not what the manifest says any more, or the disk is full; `out` is not left behind.
    """
    try:
        with open(os.open(out, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            try:
                measured = _write(snapshot_dir, manifest, file, keyring)
            except BaseException:
                out.unlink(missing_ok=True)
                raise
    except OSError as error:
        raise SnapshotError(f"snapshot cannot be packed: {error.strerror}", hint="is the disk full?") from error
    return Packed(
        size_bytes=measured.size_bytes,
        sha256=measured.sha256,
        md5=measured.md5,
        manifest=manifest,
        content_digest=content_digest(manifest.files),
        key_id=keyring.sealing,
    )


def _write(snapshot_dir: Path, manifest: Manifest, file: BinaryIO, keyring: Keyring) -> Measured:
    measured = Measured(file)
    sink: Sink = measured
    if keyring.sealing is not None:
        sink = Enveloping(measured, dataclasses.replace(head_of(manifest), kind="archive"), keyring)
    sealing = Sealing(sink)
    write_zip(snapshot_dir, manifest, sealing)
    sealing.close()
    return measured
