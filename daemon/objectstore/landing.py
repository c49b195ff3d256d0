"""`landing`: the new local file that an object is received into. It is there whole in the end, or not at all."""

import contextlib
import errno
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from threading import Event
from typing import Any

from daemon.core.clock import mono_s
from daemon.core.errors import BlazzError, DiskLowError, ObjectStoreUnavailableError, UnavailableError
from daemon.objectstore.errors import RAISED

_FULL = {errno.ENOSPC, errno.EDQUOT}
_PIECE_BYTES = 1 << 18


class Landing:
    """The open file. Its errors say that this disk cannot take the object, never that the object is damaged."""

    def __init__(self, fd: int, path: Path) -> None:
        self.size_bytes = 0
        self._fd = fd
        self._path = path

    def receive(self, response: Any, size_bytes: int, *, limit_s: float, abandoned: Event) -> tuple[str, str | None]:
        """Append the body of an answer; gives its SHA-256 and why it broke off, None if it is whole.

        Raises:
            ObjectStoreUnavailableError: it takes longer than `limit_s`, or nobody waits for it any more.
            DiskLowError, UnavailableError: this disk does not take it.
        """
        deadline_mono_s = mono_s() + limit_s
        digest, left = hashlib.sha256(), size_bytes
        while left:
            if abandoned.is_set():
                raise ObjectStoreUnavailableError("receiving was given up", left_bytes=left)
            if mono_s() > deadline_mono_s:
                raise ObjectStoreUnavailableError("receiving is too slow", left_bytes=left, size_bytes=size_bytes)
            try:
                # As it was sent: what claims an encoding would else have another size than the listed one.
                piece = response.read(min(_PIECE_BYTES, left), decode_content=False)
            except RAISED as error:
                return "", type(error).__name__
            if not piece:
                return "", "cut short"
            self._write(piece)
            digest.update(piece)
            left -= len(piece)
        return digest.hexdigest(), None

    def _write(self, piece: bytes) -> None:
        left = memoryview(piece)
        try:
            while left:
                left = left[os.write(self._fd, left) :]
        except OSError as error:
            raise _no_room(error, self._path) from error
        self.size_bytes += len(piece)

    def restart(self) -> None:
        """Make it empty again."""
        try:
            os.ftruncate(self._fd, 0)
            os.lseek(self._fd, 0, os.SEEK_SET)
            self.size_bytes = 0
        except OSError as error:
            raise _no_room(error, self._path) from error


@contextlib.contextmanager
def landing(path: Path) -> Iterator[Landing]:
    """Make the file, for its owner alone; any error removes it. What was there before is left as it is.

    Raises:
        DiskLowError, UnavailableError: as above, or something is there already.
    """
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise _no_room(error, path) from error
    whole = False
    try:
        yield Landing(fd, path)
        whole = True
    finally:
        os.close(fd)
        if not whole:
            with contextlib.suppress(OSError):
                path.unlink()


def _no_room(error: OSError, path: Path) -> BlazzError:
    if error.errno in _FULL:
        return DiskLowError("the disk is full", path=path, hint="make room below DATA_ROOT")
    return UnavailableError(f"cannot write to the local disk ({error.strerror})", path=path)
