"""A small disk that a test can fill: a tmpfs in a mount namespace of its own, which goes when its holder ends.

Root makes the namespace as it is, others inside a user namespace. Nothing is mounted in the test's own namespace, so
nothing can be left mounted.
"""

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from daemon.embedded.parent import die_with_parent

_ROOTLESS = os.geteuid() != 0
_UNSHARE = ["unshare", "--mount", *(["--user", "--map-root-user"] if _ROOTLESS else [])]
_ENTER = ["nsenter", "--mount", *(["--user", "--preserve-credentials"] if _ROOTLESS else [])]
_MOUNT = 'mount -t tmpfs -o "size=$1,mode=700" small "$2" && echo ready && exec cat'
_READY_S = 10
_FILLER = "filler"


class SmallDisk:
    """The file system, as its holder sees it at `path`."""

    def __init__(self, holder: int, path: Path) -> None:
        self._holder = holder
        self.root = Path(f"/proc/{holder}/root{path}")
        """Where this process finds it."""

    def entering(self) -> list[str]:
        """Return what to put before a command so that it sees the disk."""
        return [*_ENTER, f"--target={self._holder}", "--"]

    def free_bytes(self) -> int:
        """Return how much can still be written."""
        status = os.statvfs(self.root)
        return status.f_bavail * status.f_frsize

    def fill(self, *, leave_bytes: int) -> None:
        """Fill the disk until only this much is free."""
        self.clear()
        with (self.root / _FILLER).open("wb") as filler:
            os.posix_fallocate(filler.fileno(), 0, self.free_bytes() - leave_bytes)

    def clear(self) -> None:
        """Make room again."""
        (self.root / _FILLER).unlink(missing_ok=True)


@contextlib.asynccontextmanager
async def small_disk(path: Path, *, size_bytes: int) -> AsyncIterator[SmallDisk]:
    """Mount a disk of this size over the directory `path`; skips the test where that is not permitted."""
    path.mkdir(parents=True, exist_ok=True)
    holder = await asyncio.create_subprocess_exec(
        *(*_UNSHARE, "sh", "-c", _MOUNT, "sh", str(size_bytes), str(path)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        preexec_fn=die_with_parent,
    )
    assert holder.stdout is not None and holder.stderr is not None
    try:
        if await asyncio.wait_for(holder.stdout.readline(), _READY_S) != b"ready\n":
            said = (await holder.stderr.read()).decode()
            pytest.skip(f"a small disk cannot be mounted here, neither as root nor in a user namespace: {said}")
        yield SmallDisk(holder.pid, path)
    finally:
        with contextlib.suppress(ProcessLookupError):
            holder.send_signal(signal.SIGKILL)
        await holder.wait()
