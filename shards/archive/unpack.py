"""Unpacking an archive: everything is verified in a directory of its own before it takes its place. Blocking.

An archive from outside is not trusted: names, sizes, kinds and counts are checked before the first byte is written,
and only what the manifest lists is ever written. Whatever is wrong is a typed error and leaves nothing behind.
"""

import contextlib
import tempfile
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import BinaryIO, cast

from shards.archive.bounds import Expected, UnpackLimits
from shards.archive.contents import Contents, check_pieces
from shards.archive.keyring import Keyring
from shards.archive.manifest import Manifest
from shards.archive.opening import disk_errors, opened
from shards.archive.placing import place

__all__ = ["Expected", "UnpackLimits", "read_manifest", "unpack", "verify"]


def unpack(
    source: Path,
    into: Path,
    *,
    limits: UnpackLimits,
    keyring: Keyring,
    expected: Expected,
    work_dir: Path,
    keep: Sequence[str] = (),
    on_opened: Callable[[], None] = lambda: None,
) -> Manifest:
    """Verify an archive and put its files at the directory `into`, replacing what is there except for `keep`.

    On return everything is on the disk. On any error `into` is as it was, and nothing is left behind. The work is
    done in a hidden directory beside `into`; an encrypted archive is decrypted to a file below `work_dir` that has no
    name, so that it is gone with this process at the latest. `keep` are directories to carry over from what is
    replaced, relative to `into`. `on_opened` is called when the copy as a whole is verified, and its files are next.

    Raises:
        ArchiveUnsafeError: made to do harm, or larger than the limits.
        ArchiveDamagedError: not what was packed, another session's, or another copy than its name says; use an older.
        ArchiveTooNewError: undamaged, but written by a newer Chromium; update Chromium here.
        ArchiveKeyMissingError: the key is not in the keyring; somebody has to put it there.
        UnavailableError: the disk does not take it, or does not give it.
    """
    with _opened(source, limits, keyring, expected, work_dir) as contents:
        on_opened()
        place(contents.pieces, into, keep=keep)
        return contents.manifest


def verify(source: Path, *, limits: UnpackLimits, keyring: Keyring, expected: Expected, work_dir: Path) -> Manifest:
    """Check everything that `unpack` checks, with the same errors, and write nothing that lasts."""
    with _opened(source, limits, keyring, expected, work_dir) as contents:
        check_pieces(contents.pieces)
        return contents.manifest


def read_manifest(source: Path, *, keyring: Keyring, work_dir: Path, limits: UnpackLimits | None = None) -> Manifest:
    """Return the manifest of an archive whose seal holds; its files are not unpacked.

    Raises:
        ArchiveDamagedError, ArchiveKeyMissingError, UnavailableError: as `unpack`.
    """
    with _opened(source, limits or UnpackLimits(), keyring, Expected(), work_dir) as contents:
        return contents.manifest


@contextlib.contextmanager
def _opened(
    source: Path, limits: UnpackLimits, keyring: Keyring, expected: Expected, work_dir: Path
) -> Iterator[Contents]:
    scratch = partial(_nameless, work_dir)
    with (
        disk_errors(),
        source.open("rb") as file,
        opened(file, scratch, limits=limits, keyring=keyring, expected=expected) as contents,
    ):
        yield contents


def _nameless(folder: Path) -> BinaryIO:
    return cast(BinaryIO, tempfile.TemporaryFile(dir=folder))
