"""Copying single files: by hard link where that is possible and safe, else by content."""

import errno
import os
import shutil
from pathlib import Path

_NO_LINKS = {errno.EXDEV, errno.EPERM, errno.EACCES, errno.EMLINK, errno.ENOTSUP, errno.ENOSYS}


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
        shutil.copy2(source, target, follow_symlinks=False)


def same_file_state(one: os.stat_result, other: os.stat_result) -> bool:
    """Whether two looks at a file saw the same size and the same time of change."""
    return one.st_size == other.st_size and one.st_mtime_ns == other.st_mtime_ns


def own_copy(path: Path) -> None:
    """Turn a hard link into a file of its own with the content of this moment."""
    fresh = path.with_name(f"{path.name}.own")
    shutil.copy2(path, fresh)
    os.replace(fresh, path)
