"""Start slots of the whole host: locked files that the shards of one installation share.

A slot is a lock of the kernel on a file, so one that was held by a process that died is free at that moment, however
the process ended, and Redis is not asked. The file says since when it is held, because a process that was stopped in
the middle of a start keeps its lock: after a while such a slot does not count any more.
"""

import fcntl
import os
from dataclasses import dataclass
from pathlib import Path

from daemon.core.clock import boot_s
from daemon.core.files import private_directory


@dataclass(kw_only=True)
class HostSlot:
    """One start on this host; given back by `leave`, or by the end of the process."""

    descriptor: int = -1
    """The file that is locked; none if it is less than 0."""

    def leave(self) -> None:
        """Give the slot back; again is nothing."""
        descriptor, self.descriptor = self.descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)


class HostSlots:
    """The start slots in one directory. Every shard of the host's installation looks into the same one."""

    def __init__(self, directory: Path, *, stuck_after_s: float) -> None:
        """A slot held for more than `stuck_after_s` does not keep others from starting."""
        self._directory = private_directory(directory)
        self._stuck_after_s = stuck_after_s

    def take(self, at_most: int) -> HostSlot | None:
        """Take a slot, or return None if `at_most` starts are under way on this host.

        Raises:
            OSError: the slots cannot be used, for instance because the disk is full.
        """
        held = self._held()
        under_way = self._count(held)
        if under_way >= at_most:
            return None
        # No file beyond these, so that two that look at the same moment cannot both go beyond the limit.
        for index in range(at_most + len(held) - under_way):
            if index not in held:
                slot = self._lock(index)
                if slot is not None:
                    return slot
        return None

    def under_way(self) -> int:
        """Return how many starts are under way on this host, those that are stuck not counted.

        Raises:
            OSError: the slots cannot be read.
        """
        return self._count(self._held())

    def newest_s(self) -> float:
        """Return how long ago the last start that is under way on this host began; infinite if none is.

        Raises:
            OSError: the slots cannot be read.
        """
        return min(self._held().values(), default=float("inf"))

    def _count(self, held: dict[int, float]) -> int:
        return sum(age_s < self._stuck_after_s for age_s in held.values())

    def _held(self) -> dict[int, float]:
        """Return for how long each slot that is held has been."""
        ages = {index: self._held_s(index) for index in range(len(os.listdir(self._directory)))}
        return {index: age_s for index, age_s in ages.items() if age_s is not None}

    def _path(self, index: int) -> Path:
        return self._directory / f"{index:02d}.lock"

    def _lock(self, index: int) -> HostSlot | None:
        descriptor = os.open(self._path(index), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.pwrite(descriptor, f"{boot_s():020.3f}".encode(), 0)
        except BlockingIOError:
            os.close(descriptor)
            return None
        except OSError:
            os.close(descriptor)
            raise
        return HostSlot(descriptor=descriptor)

    def _held_s(self, index: int) -> float | None:
        """Return for how long a slot has been held, or None if it is free."""
        try:
            descriptor = os.open(self._path(index), os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return None
        except BlockingIOError:
            return max(0.0, boot_s() - _number(os.pread(descriptor, 64, 0)))
        finally:
            os.close(descriptor)


def _number(text: bytes) -> float:
    # One that was locked a moment ago has not been written yet.
    try:
        return float(text)
    except ValueError:
        return boot_s()
