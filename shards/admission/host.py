"""What the host, or the container that we are in, has and has left: memory and CPUs, from /proc and the cgroup.

Cheap enough to be read many times a second.
"""

import contextlib
import os
from collections import deque
from pathlib import Path

import psutil

from daemon.core.clock import mono_s

_CGROUP_ROOT = Path("/sys/fs/cgroup")
_PRESSURE = Path("/proc/pressure/cpu")
_LATELY_S, _TOO_LONG_AGO_S = 0.5, 2.0


class Host:
    """The machine as this process may use it."""

    def __init__(self) -> None:
        groups = dict(_own_groups())
        self._memory_groups = _MemoryV2.above(groups[""]) if "" in groups else []
        self._memory_groups += _MemoryV1.above(groups["memory"]) if "memory" in groups else []
        self.cpus = min(float(len(os.sched_getaffinity(0))), _quota_cpus(groups.get("")))
        """CPUs that this process may use."""
        limits = [limit for group in self._memory_groups if (limit := group.limit_bytes()) is not None]
        self.memory_bytes = min([psutil.virtual_memory().total, *limits])
        """Memory that this process, its neighbours in the container included, may use."""
        self._waits: deque[tuple[float, int]] = deque()
        """When the kernel was asked for how long some task has waited (s), and what it said (us)."""
        self.cpu_waited_lately()

    def available_bytes(self) -> int:
        """Return how much memory can still be had."""
        available = [left for group in self._memory_groups if (left := group.left_bytes()) is not None]
        return min([psutil.virtual_memory().available, *available])

    def cpu_waited_share(self) -> float:
        """Return in which share of the last ten seconds some task was ready and had no CPU; 1 if not told."""
        try:
            # https://docs.kernel.org/accounting/psi.html: "some avg10=0.00 avg60=0.00 avg300=0.00 total=0"
            return float(_PRESSURE.read_text().split("avg10=", 1)[1].split(maxsplit=1)[0]) / 100
        except (OSError, IndexError, ValueError):
            return 1.0

    def cpu_waited_lately(self) -> float:
        """Return the same share since the call before the last half second; of ten seconds if none was of late."""
        try:
            waited_us = int(_PRESSURE.read_text().split("total=", 1)[1].split(maxsplit=1)[0])
        except (OSError, IndexError, ValueError):
            return 1.0
        now = (mono_s(), waited_us)
        while len(self._waits) > 1 and now[0] - self._waits[1][0] >= _LATELY_S:
            self._waits.popleft()
        self._waits.append(now)
        began_mono_s, before_us = self._waits[0]
        if now[0] - began_mono_s > _TOO_LONG_AGO_S:
            return self.cpu_waited_share()
        passed_us = (now[0] - began_mono_s) * 1_000_000
        return min(1.0, (waited_us - before_us) / passed_us) if passed_us > 0 else 0.0

    def load_per_cpu(self) -> float:
        """Return how many tasks ran or wanted to, for each CPU of the machine, averaged over a minute."""
        return os.getloadavg()[0] / (os.cpu_count() or 1)


class _Group:
    """One memory cgroup; its limit counts for everything below it."""

    limit_file = usage_file = reclaimable = ""
    root = _CGROUP_ROOT

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    @classmethod
    def above(cls, path: str) -> "list[_Group]":
        """Return the group at `path` and all above it that show a limit."""
        own = cls.root / path.lstrip("/")
        places = [own, *own.parents] if own.is_relative_to(cls.root) else []
        return [cls(place) for place in places if place.is_relative_to(cls.root) and (place / cls.limit_file).exists()]

    def limit_bytes(self) -> int | None:
        """Return the limit, or None if there is none."""
        with contextlib.suppress(OSError, ValueError):
            limit = int((self._directory / self.limit_file).read_text())
            # Version 1 writes a number near 2**63 for no limit.
            return limit if limit < 2**60 else None
        return None

    def left_bytes(self) -> int | None:
        """Return what is left, with the cached files that the kernel drops first counted as free."""
        limit = self.limit_bytes()
        if limit is None:
            return None
        with contextlib.suppress(OSError, ValueError):
            used = int((self._directory / self.usage_file).read_text())
            return max(0, limit - used + self._cached_bytes())
        return None

    def _cached_bytes(self) -> int:
        for line in (self._directory / "memory.stat").read_text().splitlines():
            name, _, value = line.partition(" ")
            if name == self.reclaimable:
                return int(value)
        return 0


class _MemoryV2(_Group):
    limit_file, usage_file, reclaimable = "memory.max", "memory.current", "inactive_file"


class _MemoryV1(_Group):
    limit_file, usage_file = "memory.limit_in_bytes", "memory.usage_in_bytes"
    reclaimable = "total_inactive_file"
    root = _CGROUP_ROOT / "memory"


def _own_groups() -> list[tuple[str, str]]:
    # Lines as "0::/path" (version 2) or "4:memory:/path" (version 1).
    try:
        lines = Path("/proc/self/cgroup").read_text().splitlines()
    except OSError:
        return []
    parts = [line.split(":", 2) for line in lines if line.count(":") >= 2]
    return [(name, path) for _, names, path in parts for name in names.split(",")]


def _quota_cpus(path: str | None) -> float:
    """Return how many CPUs the quota of our cgroup is worth; infinite without one."""
    own = _CGROUP_ROOT / (path or "").lstrip("/")
    found = float("inf")
    for place in [own, *own.parents]:
        with contextlib.suppress(OSError, ValueError):
            quota, period = (place / "cpu.max").read_text().split()
            found = min(found, int(quota) / int(period))
    return found
