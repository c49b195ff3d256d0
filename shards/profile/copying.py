"""Copying single files: by hard link, by a clone that shares its blocks, or by content."""

import contextlib
import errno
import fcntl
import os
import secrets
import shutil
import stat
from pathlib import Path

_NO_LINKS = {errno.EXDEV, errno.EPERM, errno.EACCES, errno.EMLINK, errno.ENOTSUP, errno.ENOSYS}
_FICLONE = 0x40049409
"""ioctl_ficlone(2): btrfs, XFS and others; ext4 and tmpfs refuse it at once."""


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
        try:
            fcntl.ioctl(new.fileno(), _FICLONE, old.fileno())
        except OSError:
            shutil.copyfileobj(old, new)
            new.flush()
        os.fchmod(new.fileno(), stat.S_IMODE(status.st_mode))
        os.utime(new.fileno(), ns=(status.st_atime_ns, status.st_mtime_ns))


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
