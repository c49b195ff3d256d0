"""The directory that a command may fill: private, on the disk of the profiles, gone afterwards.

A command that was killed leaves its directory behind, with files of a login in it; the next one removes it. The kernel
gives up the lock on a directory exactly when the process that made it has ended.
"""

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from daemon.core.errors import UnavailableError
from daemon.core.files import private_directory


@contextlib.contextmanager
def scratch_directory(profile_root: Path) -> Iterator[Path]:
    """Give a new directory of this process, after removing those of processes that are dead.

    It is in the system's temporary directory where this user may not write below `profile_root`.

    Raises:
        UnavailableError: neither takes it.
    """
    root = _root(profile_root)
    with _locked(root):
        sweep(root)
        path = Path(tempfile.mkdtemp(prefix="c-", dir=root))
        lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        fcntl.flock(lock, fcntl.LOCK_EX)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
        os.close(lock)


def _root(profile_root: Path) -> Path:
    usable = os.access(profile_root, os.W_OK | os.X_OK)
    base = profile_root.absolute() if usable else Path(tempfile.gettempdir())
    # No shard's name begins with a dot. Each user has one, because root's would be closed to the daemon's.
    root = base / f".blazz-commands-{os.geteuid()}"
    try:
        private_directory(root)
    except OSError as error:
        raise UnavailableError(f"no temporary directory ({error.strerror})", path=root) from error
    if root.is_symlink() or root.stat().st_uid != os.geteuid():
        raise UnavailableError("the temporary directory belongs to another user", path=root)
    return root


def sweep(root: Path) -> None:
    """Remove the directories whose makers are dead."""
    for path in root.iterdir():
        with contextlib.suppress(OSError), _locked(path, wait=False):
            shutil.rmtree(path, ignore_errors=True)


@contextlib.contextmanager
def _locked(directory: Path, *, wait: bool = True) -> Iterator[None]:
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(handle)
