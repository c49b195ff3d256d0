"""Peaks of this process's memory, step by step.

Counted is what the process has above what it had at the beginning: VmHWM, reset before each step, holds anonymous
memory and mapped files; RssAnon, anonymous memory alone, is looked at by a thread every few milliseconds. Page cache,
which the kernel keeps of files, belongs to no process and is not counted.
"""

import gc
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

_LOOK_EVERY_S = 0.002
_RESET_PEAK = "5"
T = TypeVar("T")


class Peaks:
    """Measures from its creation on; `steps` is what was found."""

    def __init__(self) -> None:
        self.steps: list[dict[str, object]] = []
        gc.collect()
        reset_peak()
        self._base_bytes = status_bytes("VmHWM")
        self._base_anon_bytes = status_bytes("RssAnon")

    def step(self, name: str, work: Callable[[], T]) -> T:
        """Run `work`, and note its peaks under `name`."""
        ended = threading.Event()
        highest = [0]

        def look() -> None:
            while not ended.wait(_LOOK_EVERY_S):
                highest[0] = max(highest[0], status_bytes("RssAnon"))

        watch = threading.Thread(target=look)
        reset_peak()
        watch.start()
        try:
            return work()
        finally:
            peak_bytes = status_bytes("VmHWM")
            ended.set()
            watch.join()
            self.steps.append(
                {
                    "step": name,
                    "peak_bytes": max(0, peak_bytes - self._base_bytes),
                    "peak_anonymous_bytes": max(0, highest[0] - self._base_anon_bytes),
                }
            )


def reset_peak() -> None:
    """Let VmHWM begin anew at what there is now."""
    Path("/proc/self/clear_refs").write_text(_RESET_PEAK)


def status_bytes(field: str) -> int:
    """Return a size of this process as the kernel tells it."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"the kernel does not tell {field}")
