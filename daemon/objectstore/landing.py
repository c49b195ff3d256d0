"""`landing`: the new local file that an object is received into. It is there whole in the end, or not at all."""

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path

from daemon.core.errors import BlazzError, DiskLowError, UnavailableError

_FULL = {errno.ENOSPC, errno.EDQUOT}


class Landing:
    """The open file. Its errors say that this disk cannot take the object, never that the object is damaged."""

    def __init__(self, fd: int, path: Path) -> None:
        self._fd = fd
        self._path = path

    def write(self, piece: bytes) -> None:
        """Append a piece.

        Raises:
            DiskLowError: the disk is full.
            UnavailableError: it cannot be written to.
        """
        left = memoryview(piece)
        try:
            while left:
                left = left[os.write(self._fd, left) :]
        except OSError as error:
            raise _no_room(error, self._path) from error

    def restart(self) -> None:
        """Make it empty again."""
        try:
            os.ftruncate(self._fd, 0)
            os.lseek(self._fd, 0, os.SEEK_SET)
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
