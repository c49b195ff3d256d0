"""Putting verified files in the place of a profile: all of them or none. Blocking. The only writer of profiles here.

Everything is written to a hidden directory beside the place, verified, brought to the disk and then renamed.
"""

import contextlib
import os
import secrets
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from daemon.core.files import sync_directory
from shards.archive.contents import Pieces, verified


def place(pieces: Pieces, into: Path, *, keep: Sequence[str] = ()) -> None:
    """Write all files into a new directory and put it at `into`, replacing what is there.

    The directories `keep`, relative to `into`, are carried over from what is replaced, unverified: only for what may
    as well be lost. On return everything else is on the disk. On any error `into` is as it was, and nothing is left
    beside it.

    Raises:
        ArchiveDamagedError: a file is not what the manifest says.
        OSError: the disk does not take it.
    """
    fresh = _beside(into, "new")
    try:
        fresh.mkdir(mode=0o700)
        for file, chunks in pieces:
            _write(fresh / file.path, verified(file, chunks), fresh)
        _bring_to_disk(fresh)
        _swap(fresh, into, keep)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def _write(target: Path, chunks: Iterator[bytes], root: Path) -> None:
    missing = [folder for folder in (target.parent, *target.parent.parents) if root in folder.parents]
    for folder in reversed(missing):
        folder.mkdir(mode=0o700, exist_ok=True)
    with open(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600), "wb") as out:
        for chunk in chunks:
            out.write(chunk)


def _bring_to_disk(root: Path) -> None:
    """Sync all files, then all directories. After all were written, so that the disk does it in one go."""
    for folder, _, names in os.walk(root):
        for name in names:
            _sync_file(Path(folder, name))
        sync_directory(Path(folder))


def _sync_file(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _swap(fresh: Path, into: Path, keep: Sequence[str]) -> None:
    """Rename the new directory to its place; what is there goes aside first and comes back if anything fails."""
    aside = _beside(into, "old")
    replaced = into.exists()
    if replaced:
        os.rename(into, aside)
    try:
        os.rename(fresh, into)
        sync_directory(into.parent)
    except OSError:
        if not fresh.exists():
            os.rename(into, fresh)
        if replaced:
            os.rename(aside, into)
        raise
    # Only now: whoever is killed before has the old profile or the new one, and never a part of both.
    for folder in keep:
        _carry_over(aside / folder, into / folder)
    shutil.rmtree(aside, ignore_errors=True)


def _carry_over(old: Path, new: Path) -> None:
    """Move a directory if it is there and not in the new place yet; it is lost if that fails."""
    if old.is_symlink() or not old.is_dir() or new.exists():
        return
    with contextlib.suppress(OSError):
        new.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        os.rename(old, new)


def _beside(into: Path, purpose: str) -> Path:
    return into.with_name(f".{into.name}.{secrets.token_hex(4)}.{purpose}")
