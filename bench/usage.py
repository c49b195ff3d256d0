"""Processor time and memory of a running installation, by kind of process. Read from /proc."""

import contextlib
import os
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from tests.integration.supervision.house import House

_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, kw_only=True)
class Usage:
    """CPU seconds so far, ended children included."""

    browsers_s: float
    shards_s: float
    coordinator_s: float
    redis_s: float
    others_s: float
    """supervisord and what listens to it."""
    bench_s: float
    """This process: the stand-in, and the measuring itself."""

    def since(self, before: "Usage") -> "Usage":
        """Return what was used since `before`. Processes that ended since are not subtracted."""
        later, earlier = asdict(self), asdict(before)
        # Shards and browsers are new ones.
        fresh = {"browsers_s", "shards_s"}
        return Usage(**{name: later[name] - (0 if name in fresh else earlier[name]) for name in later})

    def by_kind(self) -> dict[str, float]:
        """Return the seconds by kind."""
        return {name.removesuffix("_s"): seconds for name, seconds in asdict(self).items()}


def usage_of(house: House) -> Usage:
    """Return what has been used so far."""
    found = dict.fromkeys(("browsers", "shards", "coordinator", "redis", "others"), 0.0)
    for process in house.processes():
        with contextlib.suppress(psutil.NoSuchProcess):
            found[_kind(process)] += _cpu_s(process.pid)
    return Usage(**{f"{name}_s": seconds for name, seconds in found.items()}, bench_s=_cpu_s(os.getpid()))


def memory_of(house: House) -> dict[str, float]:
    """Return the PSS by kind of process, in MB."""
    found = dict.fromkeys(("browsers", "shards", "coordinator", "redis", "others"), 0.0)
    for process in house.processes():
        with contextlib.suppress(psutil.NoSuchProcess, FileNotFoundError, ProcessLookupError):
            found[_kind(process)] += _pss_mb(process.pid)
    return found


def _kind(process: psutil.Process) -> str:
    line = " ".join(process.cmdline())
    if "--user-data-dir=" in line or "--type=" in line:
        return "browsers"
    if "-m shards.exits" in line:
        return "others"
    if "-m shards" in line:
        return "shards"
    if "redis" in line:
        return "redis"
    return "coordinator" if line.endswith("-m daemon") else "others"


def _cpu_s(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    return sum(map(int, fields[11:15])) / _TICKS


def _pss_mb(pid: int) -> float:
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024 / 1e6
    return 0.0
