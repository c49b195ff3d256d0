"""SHA-256 of the files of one session's snapshots, reading only what was not read before. Blocking.

Most of a snapshot is tables and blobs that are hard links to files which the last snapshot had too: those are known
by their identity, size and time of change. Copies are new files each time and are read. Nothing is kept on disk.
"""

import errno
import hashlib
import os
import stat
import threading
import time
from collections.abc import Iterable
from pathlib import Path

from daemon.core.errors import SnapshotError

_Identity = tuple[int, int, int, int]
_SETTLED_NS = 100_000_000
"""File times advance in steps of up to 10 ms: a file changed this recently could change again and keep its time."""


class Digests:
    """What has been digested for one session. In memory; one caller at a time, others wait."""

    def __init__(self) -> None:
        self._known: dict[_Identity, str] = {}
        self._turn = threading.Lock()

    def of(self, root: Path, paths: Iterable[str]) -> dict[str, str]:
        """Return path to SHA-256 (hex) of these regular files below `root`; what is not named now is forgotten.

        Raises:
            SnapshotError: a file is not there, is no regular file, or cannot be read; what was known stays known.
        """
        with self._turn:
            found: dict[str, str] = {}
            kept: dict[_Identity, str] = {}
            for path in paths:
                try:
                    found[path] = self._digest(root / path, kept)
                except OSError as error:
                    raise SnapshotError(f"snapshot cannot be read: {error.strerror}", path=path) from error
            self._known = kept
            return found

    def _digest(self, path: Path, kept: dict[_Identity, str]) -> str:
        status = os.stat(path, follow_symlinks=False)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "not a regular file")
        before = _identity(status)
        known = self._known.get(before) or kept.get(before)
        if known is None:
            with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "rb") as file:
                known = hashlib.file_digest(file, "sha256").hexdigest()
                if _identity(os.fstat(file.fileno())) != before or time.time_ns() - before[3] < _SETTLED_NS:
                    return known
        kept[before] = known
        return known


def _identity(status: os.stat_result) -> _Identity:
    return (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
