"""What machine a bench ran on: numbers mean little without it."""

import os
import platform
from pathlib import Path

import psutil

from shards.browser.version import binary_version
from tests.integration.profile.rig import CHROMIUM


async def machine(work: Path) -> dict[str, object]:
    """Return facts of this machine. `work` is where the bench writes."""
    return {
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "load_average": round(os.getloadavg()[0], 1),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "chromium": await binary_version(Path(CHROMIUM)),
        "file_system": _file_system(work),
    }


def _cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _file_system(path: Path) -> str:
    mounts = [part for part in psutil.disk_partitions(all=True) if path.is_relative_to(part.mountpoint)]
    return max(mounts, key=lambda part: len(part.mountpoint)).fstype if mounts else "unknown"
