"""Snapshots: consistent copies of a profile at one moment, or none at all. Blocking; callers use an executor."""

import contextlib
import hashlib
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from daemon.core.errors import SnapshotError
from shards.profile.blobs import blob_numbers, drop_blobs, freeze_blobs, may_have_missed, take_blobs
from shards.profile.cookies import copy_closed_cookies, copy_live_cookies
from shards.profile.files import LOCAL_STORAGE, Origin, origins, relevant_files, unknown_databases
from shards.profile.leveldb import copy_leveldb

_ORIGIN_ATTEMPTS = 5


@dataclass(frozen=True, kw_only=True)
class SnapshotFiles:
    """What a snapshot holds: paths relative to its directory, with `/`, in order."""

    root: Path
    paths: tuple[str, ...]
    size_bytes: int


def take_live(profile_dir: Path, into: Path, *, extra: Mapping[str, bytes]) -> SnapshotFiles:
    """Copy a profile that Chromium is using into the new directory `into`, without stopping Chromium.

    Each database is a state that it really had; different databases may be some milliseconds apart. localStorage and
    cookies reach the disk late, so give them in `extra` (name to content), taken before this call. Tables and blobs
    are hard links where possible: keep `into` on the profile's file system, and only read from it.

    Raises:
        SnapshotError: no consistent copy now; nothing is left behind, try again later.
    """
    return _take(profile_dir, into, extra, live=True)


def take_clean(profile_dir: Path, into: Path, *, extra: Mapping[str, bytes] | None = None) -> SnapshotFiles:
    """Copy the profile of a Chromium whose process has exited into the new directory `into`.

    Everything has reached the disk by then, so `extra` is usually empty. Databases are still copied by what their
    MANIFEST names: one that is damaged is found now and not at the restore.

    Raises:
        SnapshotError: a database is not readable; nothing is left behind.
    """
    return _take(profile_dir, into, extra or {}, live=False)


def fingerprint(profile_dir: Path) -> str:
    """Return a digest of names, sizes, times and identities of the files that count.

    Equal fingerprints mean that nothing was written in between; it costs no reading of content.
    """
    digest = hashlib.sha256()
    for path in relevant_files(profile_dir):
        try:
            status = os.stat(profile_dir / path)
        except FileNotFoundError:
            continue
        facts = (path, status.st_size, status.st_mtime_ns, status.st_ino)
        digest.update(repr(facts).encode())
    return digest.hexdigest()


def _take(profile_dir: Path, into: Path, extra: Mapping[str, bytes], *, live: bool) -> SnapshotFiles:
    try:
        into.mkdir(mode=0o700)
        with contextlib.ExitStack() as undo:
            undo.callback(shutil.rmtree, into, ignore_errors=True)
            _fill(profile_dir, into, extra, live=live)
            undo.pop_all()
        return _files_of(into)
    except OSError as error:
        raise SnapshotError(f"profile cannot be copied: {error.strerror}", hint="is the disk full?") from error


def _fill(profile_dir: Path, into: Path, extra: Mapping[str, bytes], *, live: bool) -> None:
    if unknown := unknown_databases(profile_dir):
        raise SnapshotError(
            "IndexedDB is kept in a form that is not known here",
            hint="start Chromium with --disable-features=IdbSqliteBackingStore,IdbSqliteOnDiskRollout",
            database=unknown[0],
        )
    copy_leveldb(profile_dir / LOCAL_STORAGE, into / LOCAL_STORAGE)
    for origin in origins(profile_dir):
        _take_origin(profile_dir, into, origin)
    (copy_live_cookies if live else copy_closed_cookies)(profile_dir, into)
    for name, content in extra.items():
        _write_extra(into, name, content)


def _take_origin(profile_dir: Path, into: Path, origin: Origin) -> None:
    for _ in range(_ORIGIN_ATTEMPTS):
        take_blobs(profile_dir, into, origin.blobs)
        before = blob_numbers(into, origin.blobs)
        if not copy_leveldb(profile_dir / origin.database, into / origin.database):
            drop_blobs(into, origin.blobs)
            return
        whole = take_blobs(profile_dir, into, origin.blobs)
        if whole and not may_have_missed(before, blob_numbers(into, origin.blobs)):
            freeze_blobs(into, origin.blobs)
            return
        drop_blobs(into, origin.blobs)
        shutil.rmtree(into / origin.database)
    raise SnapshotError("blobs of a database did not hold still", database=origin.database)


def _write_extra(into: Path, name: str, content: bytes) -> None:
    if "/" in name or name.startswith("."):
        raise ValueError(f"not a plain file name: {name}")
    (into / name).write_bytes(content)


def _files_of(root: Path) -> SnapshotFiles:
    found = [path for folder, _, names in os.walk(root) for path in (Path(folder, name) for name in names)]
    return SnapshotFiles(
        root=root,
        paths=tuple(sorted(path.relative_to(root).as_posix() for path in found)),
        size_bytes=sum(path.stat().st_size for path in found),
    )
