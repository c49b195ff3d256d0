"""The floor of free disk space: what would need more is not begun, so nothing ends half written."""

import os
from pathlib import Path

from daemon.core.errors import DiskLowError


def check_free_space(root: Path, *, min_free_bytes: int) -> None:
    """Check that the file system of `root` has room left for its unprivileged users.

    Raises:
        DiskLowError: less than `min_free_bytes`.
    """
    status = os.statvfs(root)
    free_bytes = status.f_bavail * status.f_frsize
    if free_bytes < min_free_bytes:
        raise DiskLowError(
            "too little free disk space",
            hint="free some under PROFILE_ROOT, or lower MIN_FREE_BYTES",
            free_bytes=free_bytes,
            min_free_bytes=min_free_bytes,
        )
