"""What machine and which versions a bench ran on: numbers mean little without it."""

import asyncio
import json
import os
import platform
import shutil
import time
from importlib.metadata import version
from pathlib import Path

import psutil

from daemon.core.errors import BrowserError
from shards.browser.version import binary_version
from tests.integration.profile.rig import CHROMIUM

_ROOT = Path(__file__).parent.parent
_WAJS_LOCK = _ROOT / "shards/page/wajs.lock.json"
_LOOP = 5_000_000


async def machine(work: Path) -> dict[str, object]:
    """Return facts of this machine. `work` is where the bench writes."""
    return {
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "python_loop_ns": _loop_ns(),
        "load_average": round(os.getloadavg()[0], 1),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "kernel": platform.release(),
        "file_system": file_system(work),
        "python": platform.python_version(),
        "chromium": await _chromium_version(),
        "redis_server": await _redis_version(),
        "wa_js": json.loads(_WAJS_LOCK.read_text())["version"],
        "pyppeteer": version("pyppeteer"),
        "blazz": version("blazz"),
        "commit": await _commit(),
    }


def _cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _loop_ns() -> float:
    """Return what one turn of an empty loop takes: it says how fast a shared machine was at that time."""
    began = time.perf_counter_ns()
    for _ in range(_LOOP):
        pass
    return round((time.perf_counter_ns() - began) / _LOOP, 1)


async def _chromium_version() -> str:
    try:
        return await binary_version(Path(CHROMIUM))
    except BrowserError:
        return "none"


async def _redis_version() -> str:
    if shutil.which("redis-server") is None:
        return "none"
    child = await asyncio.create_subprocess_exec(
        "redis-server", "--version", stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE
    )
    output, _ = await child.communicate()
    found = [word.removeprefix("v=") for word in output.decode().split() if word.startswith("v=")]
    return found[0] if found else "unknown"


async def _commit() -> str:
    """Return the commit of this tree, with a + if its code was changed since."""
    commit = await _git("rev-parse", "--short=10", "HEAD")
    changed = await _git("status", "--porcelain", "--", "daemon", "shards", "bench", ":(exclude)bench/results")
    return f"{commit}{'+' if changed else ''}" if commit else "unknown"


async def _git(*words: str) -> str:
    if shutil.which("git") is None:
        return ""
    child = await asyncio.create_subprocess_exec(
        *("git", "-C", str(_ROOT), *words),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    output, _ = await child.communicate()
    return output.decode().strip() if child.returncode == 0 else ""


def file_system(path: Path) -> str:
    """Return on what kind of file system a directory lies."""
    mounts = [part for part in psutil.disk_partitions(all=True) if path.is_relative_to(part.mountpoint)]
    return max(mounts, key=lambda part: len(part.mountpoint)).fstype if mounts else "unknown"
