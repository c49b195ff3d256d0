"""A snapshot's way through an archive or a hot copy to a new profile, as a backup and a restore take it."""

import shutil
from pathlib import Path

from daemon.core.clock import utc_now
from shards.archive.bounds import Expected, UnpackLimits
from shards.archive.describing import ManifestFacts, describe
from shards.archive.hot import pack_hot, unpack_hot
from shards.archive.keyring import Keyring
from shards.archive.manifest import Manifest
from shards.archive.pack import pack
from shards.archive.unpack import unpack
from shards.profile.digests import Digests

KEYRING = Keyring({"k1": b"\x07" * 32})
LARGEST_HOT_COPY_BYTES = 100_000_000


def manifest_facts(generation: int, *, clean: bool = False) -> ManifestFacts:
    """Return what a manifest says of the session of these tests."""
    return ManifestFacts(
        session_id="s", workspace_id="w", user_id="u", token=1, generation=generation,
        created_at=utc_now(), chromium="156.0.0.0", clean=clean,
    )  # fmt: skip


def described(files: Path, generation: int, *, clean: bool = False, digests: Digests | None = None) -> Manifest:
    """Describe a snapshot; with `digests`, reading only what was not read before."""
    paths = [path.relative_to(files).as_posix() for path in files.rglob("*") if path.is_file()]
    known = digests.of(files, paths) if digests else None
    return describe(files, manifest_facts(generation, clean=clean), known=known)


def through_archive(
    files: Path, generation: int, *, clean: bool = False, keyring: Keyring = KEYRING, digests: Digests | None = None
) -> Path:
    """Pack the snapshot in the directory `files`, unpack it to a new profile beside it, and return that."""
    archive, restored = files.with_name(f"{generation}.zip"), files.with_name(f"restored-{generation}")
    pack(files, described(files, generation, clean=clean, digests=digests), archive, keyring=keyring)
    shutil.rmtree(files)
    unpack(
        archive, restored, limits=UnpackLimits(), keyring=keyring,
        expected=Expected(session_id="s", order=(1, generation)), work_dir=files.parent,
    )  # fmt: skip
    archive.unlink()
    return restored


def through_hot_copy(
    files: Path, generation: int, *, keyring: Keyring = KEYRING, digests: Digests | None = None
) -> Path:
    """As `through_archive`, by way of a hot copy."""
    restored = files.with_name(f"restored-{generation}")
    manifest = described(files, generation, digests=digests)
    body = pack_hot(files, manifest, keyring=keyring, limit_bytes=LARGEST_HOT_COPY_BYTES)
    assert body is not None
    shutil.rmtree(files)
    unpack_hot(
        body, restored, limits=UnpackLimits(), keyring=keyring, expected=Expected(session_id="s", order=(1, generation))
    )
    return restored
