"""The hot copy: one snapshot as bytes in memory, small enough for Redis. Blocking."""

import io
from collections.abc import Callable, Sequence
from pathlib import Path

from daemon.core.errors import SnapshotError
from shards.archive.bounds import Expected, UnpackLimits
from shards.archive.compact import head_of, write_compact
from shards.archive.envelope import Enveloping
from shards.archive.keyring import Keyring
from shards.archive.manifest import Manifest
from shards.archive.opening import disk_errors, opened
from shards.archive.placing import place
from shards.archive.seal import Sealing
from shards.archive.streams import Limited, Sink, TooLargeError


def pack_hot(snapshot_dir: Path, manifest: Manifest, *, keyring: Keyring, limit_bytes: int) -> bytes | None:
    """Return the hot copy of a snapshot, or None when it would be larger than `limit_bytes`.

    Takes no more memory than the limit and a few MiB, and gives up as soon as the limit is passed.

    Raises:
        SnapshotError: a file is not what the manifest says any more, or cannot be read.
    """
    kept = Limited(limit_bytes)
    try:
        sink: Sink = kept
        if keyring.sealing is not None:
            sink = Enveloping(kept, head_of(manifest), keyring)
        sealing = Sealing(sink)
        write_compact(snapshot_dir, manifest, sealing)
        sealing.close()
    except TooLargeError:
        return None
    except OSError as error:
        raise SnapshotError(f"snapshot cannot be packed: {error.strerror}") from error
    return kept.content


def unpack_hot(
    body: bytes,
    into: Path,
    *,
    limits: UnpackLimits,
    keyring: Keyring,
    expected: Expected,
    keep: Sequence[str] = (),
    on_opened: Callable[[], None] = lambda: None,
) -> Manifest:
    """Verify a hot copy and put its files at the directory `into`: as `unpack` does, with the same errors."""
    with (
        disk_errors(),
        opened(io.BytesIO(body), io.BytesIO, limits=limits, keyring=keyring, expected=expected) as contents,
    ):
        on_opened()
        place(contents.pieces, into, keep=keep)
        return contents.manifest
