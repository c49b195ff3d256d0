"""Notes of which process groups are Chromium's, and their end when the process that started them was killed.

A note is a small file beside nothing of value: it is written after each start, removed after the exit was seen, and
swept by the next process of the same shard before it starts anything.
"""

import contextlib
import json
import os
import signal
from pathlib import Path
from typing import Any

from shards.browser.procfs import boot_id, command_line, group_members, read_stat

SUFFIX = ".pgid"


def write_note(path: Path, pid: int) -> None:
    """Note that `pid`, just started by us, leads a process group of Chromium's."""
    stat = read_stat(pid)
    note = {"pid": pid, "pgid": pid, "start_time": stat.start_ticks if stat else 0, "boot_id": boot_id()}
    # No fsync: after a power cut there is no process left to end.
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(json.dumps(note))
    temporary.replace(path)


def sweep_orphans(directory: Path) -> list[int]:
    """Kill every process group noted in `directory` that still runs, remove the notes, return the killed groups.

    Call it before anything is started there: it does not spare the groups of the calling process. A process that
    only happens to have a noted pid is left alone.
    """
    killed = []
    for path in sorted(directory.glob(f"*{SUFFIX}")):
        pgid = _live_group(path)
        if pgid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pgid, signal.SIGKILL)
                killed.append(pgid)
        path.unlink(missing_ok=True)
    return killed


def _live_group(path: Path) -> int | None:
    """Return the noted group if it is still the one that was noted."""
    try:
        note: dict[str, Any] = json.loads(path.read_text())
        pgid, start_ticks, noted_boot = int(note["pgid"]), int(note["start_time"]), str(note["boot_id"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    if pgid <= 1 or noted_boot != boot_id():
        return None
    leader = read_stat(pgid)
    members = group_members(pgid)
    if leader is not None:
        return pgid if members and leader.start_ticks == start_ticks else None
    # The leader is gone, but its number stays taken while its group has members, so these are the noted ones unless
    # the whole group ended and the number went round: then they are no Chromium.
    return pgid if any("chrom" in command_line(member.pid) for member in members) else None
