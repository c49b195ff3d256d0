"""What the processes of an installation use: processor time and memory, by kind, as the kernel counts it."""

import contextlib
import os
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import psutil

from shards.browser.procfs import all_groups, command_line
from tests.integration.supervision.house import House

SHARD, GUARD, COORDINATOR, REDIS, S3, REST = "shard", "guard", "coordinator", "redis", "s3", "supervisord and others"
CHROMIUM = "chromium: "
"""Before the kind of each of Chromium's processes, as in `chromium: renderer`."""
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_TYPE, _SUB_TYPE = "--type=", "--utility-sub-type="


@dataclass(frozen=True, kw_only=True)
class Usage:
    """What all processes of each kind have used until now, and what they hold."""

    cpu_s: dict[str, float]
    pss_bytes: dict[str, int]
    processes: dict[str, int]

    @property
    def chromium_bytes(self) -> int:
        """Memory of all Chromiums."""
        return sum(size for kind, size in self.pss_bytes.items() if kind.startswith(CHROMIUM))


def kinds_of(house: House) -> dict[int, str]:
    """Return what each living process of an installation is, by its id."""
    processes = house.processes()
    found = _chromiums({process.pid for process in processes})
    named = {house.pid(name): kind for name, kind in _programs(house).items()}
    for process in processes:
        if process.pid not in found:
            found[process.pid] = named.get(process.pid) or _kind_by_command(process)
    return found


def usage_of(kinds: dict[int, str]) -> Usage:
    """Read what these processes use; those that have ended count nothing."""
    cpu_s: Counter[str] = Counter()
    pss_bytes: Counter[str] = Counter()
    count: Counter[str] = Counter()
    for pid, kind in kinds.items():
        with contextlib.suppress(OSError):
            used_s, held_bytes = _cpu_s(pid), _pss_bytes(pid)
            cpu_s[kind] += used_s
            pss_bytes[kind] += held_bytes
            count[kind] += 1
    return Usage(cpu_s=dict(cpu_s), pss_bytes=dict(pss_bytes), processes=dict(count))


def _programs(house: House) -> dict[str, str]:
    return {
        name: SHARD if name.startswith("shard:") else name
        for name in house.states()
        if name.startswith("shard:") or name in {COORDINATOR, REDIS, S3}
    }


def _kind_by_command(process: psutil.Process) -> str:
    return GUARD if "shards.guard" in command_line(process.pid) else REST


def _chromiums(pids: Collection[int]) -> dict[int, str]:
    """Return Chromium's processes: whatever is in the process group of one of these that has a profile."""
    found = {}
    for leader, members in all_groups().items():
        if leader in pids and "--user-data-dir=" in command_line(leader):
            found |= {member.pid: CHROMIUM + _chromium_kind(member.pid) for member in members}
    return found


def _chromium_kind(pid: int) -> str:
    words = command_line(pid).split()
    kinds = [word.removeprefix(_TYPE) for word in words if word.startswith(_TYPE)]
    services = [word.removeprefix(_SUB_TYPE).partition(".")[0] for word in words if word.startswith(_SUB_TYPE)]
    return (services or kinds or ["browser"])[0]


def _cpu_s(pid: int) -> float:
    """Return the time of a process and of its children that have ended."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / _TICKS_PER_S


def _pss_bytes(pid: int) -> int:
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    return 0
