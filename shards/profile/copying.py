"""Copying single files: by hard link, by a clone that shares its blocks, or by content."""

import contextlib
import errno
import fcntl
import hashlib
import os
import secrets
import shutil
import stat
from pathlib import Path
from typing import BinaryIO

from daemon.core.errors import DamagedError

_NO_LINKS = {errno.EXDEV, errno.EPERM, errno.EACCES, errno.EMLINK, errno.ENOTSUP, errno.ENOSYS}
_FICLONE = 0x40049409
"""ioctl_ficlone(2): btrfs, XFS and others; ext4 and tmpfs refuse it at once."""
_CHUNK_BYTES = 1 << 20


def link_or_copy(source: Path, target: Path) -> None:
    """Make `target` the same file as `source` by a hard link, or a copy with the same times where links cannot be.

    Only for files whose content no longer changes, or that are checked again later.

    Raises:
        FileNotFoundError: the source has gone.
    """
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        clone_or_copy(source, target)


def clone_or_copy(source: Path, target: Path) -> None:
    """Make the new file `target` with the content, mode and times of `source`; no symbolic link is followed.

    A clone costs no space, but the file system may keep the source's writer waiting until what it wrote is on the
    disk. So this is not for files that a page waits for, such as logs.
    """
    with open(os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "rb") as old, target.open("xb") as new:
        status = os.fstat(old.fileno())
        if not _clone(old, new):
            shutil.copyfileobj(old, new)
            new.flush()
        os.fchmod(new.fileno(), stat.S_IMODE(status.st_mode))
        os.utime(new.fileno(), ns=(status.st_atime_ns, status.st_mtime_ns))


def copy_verified(source: Path, target: Path, *, sha256: str) -> None:
    """Make the new file `target` with the content of `source`: a clone or a copy, of this digest and mode 0600.

    Raises:
        DamagedError: the content is another; the target may have been made.
    """
    with (
        open(os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "rb") as old,
        open(os.open(target, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "w+b") as new,
    ):
        if _clone(old, new):
            found = hashlib.file_digest(new, "sha256")
        else:
            found = hashlib.sha256()
            while chunk := old.read(_CHUNK_BYTES):
                found.update(chunk)
                new.write(chunk)
    if found.hexdigest() != sha256:
        raise DamagedError("a file is not what was written", path=source)


def _clone(old: BinaryIO, new: BinaryIO) -> bool:
    """Let the empty file `new` share the blocks of `old`; False where the file system cannot."""
    try:
        fcntl.ioctl(new.fileno(), _FICLONE, old.fileno())
    except OSError:
        return False
    return True


def same_file_state(one: os.stat_result, other: os.stat_result) -> bool:
    """Whether two looks at a file saw the same size and the same time of change."""
    return one.st_size == other.st_size and one.st_mtime_ns == other.st_mtime_ns


def replace_by_copy(source: Path, target: Path) -> None:
    """Put a file of its own with the content of `source` in the place of `target`, which may be a link to it.

    Raises:
        FileNotFoundError: the source has gone; `target` is as it was.
    """
    fresh = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
    try:
        clone_or_copy(source, fresh)
        os.replace(fresh, target)
    finally:
        with contextlib.suppress(FileNotFoundError):
            fresh.unlink()
