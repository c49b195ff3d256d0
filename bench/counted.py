"""Processes that are counted together: what processor time they took, what memory they hold, and their end.

Where the kernel lets us make a cgroup (v1, cpuacct), the count is its own: everything that the members start is in it,
also what has ended. Elsewhere it is summed over their trees from /proc, with the children that were waited for.
"""

import contextlib
import os
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import psutil

_CPUACCT = Path("/sys/fs/cgroup/cpuacct")
_EMPTY_LIMIT_S = 10.0
_LOOK_EVERY_S = 0.05
_BROWSERS = ("chrom", "headless_shell")
"""How the names of Chromium's executables begin: those of all its processes, and of its crash handler."""


@dataclass(frozen=True, kw_only=True)
class Holding:
    """Memory (PSS) and processes at one moment, those of browsers apart from the others."""

    browser_pss_mib: float = 0.0
    other_pss_mib: float = 0.0
    browser_processes: int = 0
    other_processes: int = 0


class Counted(Protocol):
    """Some processes, and all that they start from then on."""

    def take(self, pid: int) -> None:
        """Count a process from now on; what it has spent so far may be in it."""

    def cpu_s(self) -> float:
        """Return the processor time so far; only a difference means anything."""

    def processes(self) -> list[psutil.Process]:
        """Return those that live."""


@contextlib.contextmanager
def counted(name: str) -> Iterator[Counted]:
    """Count processes; on leaving, those that still live are left alone and not counted any more."""
    group = _CPUACCT / f"blazz-bench-{os.getpid()}-{name}"
    try:
        group.mkdir()
        usable = True
    except OSError:
        usable = False
    if not usable:
        yield _Trees()
        return
    try:
        yield _Cgroup(group)
    finally:
        _remove(group)


def end_all(group: Counted) -> None:
    """Kill everything that is counted, until nothing is left."""
    deadline_mono_s = time.monotonic() + _EMPTY_LIMIT_S
    while (alive := group.processes()) and time.monotonic() < deadline_mono_s:
        for process in alive:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        # Not waited for: that is up to who started them.
        time.sleep(_LOOK_EVERY_S)


def holding(processes: Iterable[psutil.Process]) -> Holding:
    """Look at the memory of these processes, and count them."""
    pss_mib, count = {True: 0.0, False: 0.0}, {True: 0, False: 0}
    for process in processes:
        with contextlib.suppress(psutil.Error):
            browser = Path(process.exe()).name.startswith(_BROWSERS)
            pss_mib[browser] += process.memory_full_info().pss / 2**20
            count[browser] += 1
    return Holding(
        browser_pss_mib=pss_mib[True],
        other_pss_mib=pss_mib[False],
        browser_processes=count[True],
        other_processes=count[False],
    )


class _Cgroup:
    def __init__(self, group: Path) -> None:
        self._group = group

    def take(self, pid: int) -> None:
        _move(pid, self._group)

    def cpu_s(self) -> float:
        return int((self._group / "cpuacct.usage").read_text()) / 1e9

    def processes(self) -> list[psutil.Process]:
        found = []
        for pid in (self._group / "cgroup.procs").read_text().split():
            with contextlib.suppress(psutil.NoSuchProcess):
                found.append(psutil.Process(int(pid)))
        return [process for process in found if _lives(process)]


class _Trees:
    def __init__(self) -> None:
        self._members: dict[int, psutil.Process] = {}

    def take(self, pid: int) -> None:
        with contextlib.suppress(psutil.NoSuchProcess):
            self._members[pid] = psutil.Process(pid)

    def cpu_s(self) -> float:
        spent = 0.0
        for process in self.processes():
            with contextlib.suppress(psutil.NoSuchProcess):
                times = process.cpu_times()
                spent += times.user + times.system + times.children_user + times.children_system
        return spent

    def processes(self) -> list[psutil.Process]:
        children: dict[int, list[psutil.Process]] = {}
        for process in psutil.process_iter(["ppid"]):
            children.setdefault(process.info["ppid"], []).append(process)
        found: dict[int, psutil.Process] = {}
        ahead = list(self._members.values())
        while ahead:
            member = ahead.pop()
            if member.pid not in found and _lives(member):
                found[member.pid] = member
                ahead += children.get(member.pid, [])
        self._members = found
        return list(found.values())


def _lives(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


def _move(pid: int, group: Path) -> None:
    with contextlib.suppress(ProcessLookupError):
        (group / "cgroup.procs").write_text(str(pid))


def _remove(group: Path) -> None:
    deadline_mono_s = time.monotonic() + _EMPTY_LIMIT_S
    while time.monotonic() < deadline_mono_s:
        for pid in (group / "cgroup.procs").read_text().split():
            _move(int(pid), _CPUACCT)
        with contextlib.suppress(OSError):
            group.rmdir()
            return
        time.sleep(_LOOK_EVERY_S)
