"""Notes of which process groups are Chromium's, and their end when the process that started them was killed.

A note is a small file beside nothing of value: it is written after each start, removed after the exit was seen, and
swept by the next process of the same shard before it starts anything.
"""

import json
import os
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shards.browser.procfs import ProcessStat, all_groups, boot_id, command_line, group_members, read_stat

SUFFIX = ".pgid"


def write_note(path: Path, pid: int) -> None:
    """Note that `pid`, just started by us, leads a process group of Chromium's."""
    stat = read_stat(pid)
    us = read_stat(os.getpid())
    note = {
        "pid": pid,
        "pgid": pid,
        "start_time": stat.start_ticks if stat else 0,
        "boot_id": boot_id(),
        "owner": os.getpid(),
        "owner_start_time": us.start_ticks if us else 0,
    }
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
    groups = all_groups()
    for path in sorted(directory.glob(f"*{SUFFIX}")):
        note = _read_note(path)
        if note is not None and _runs(note, groups) and _kill(note.pgid):
            killed.append(note.pgid)
        path.unlink(missing_ok=True)
    return killed


def end_ownerless(directory: Path) -> list[int]:
    """Kill every noted group whose starter is dead, and return those that ran until now; call again until none did.

    Safe at any time and from any process: groups of a living process are spared, and notes stay as they are.
    """
    notes = [note for path in sorted(directory.glob(f"*{SUFFIX}")) if (note := _read_note(path)) is not None]
    orphaned = [note for note in notes if _owner_is_dead(note)]
    # Looked at after the owners: what they started before they died is among the groups.
    groups = all_groups() if orphaned else {}
    return [note.pgid for note in orphaned if _runs(note, groups) and _kill(note.pgid)]


def running_group(path: Path) -> int | None:
    """Return the process group that a note names, if it still runs."""
    note = _read_note(path)
    return note.pgid if note is not None and _runs(note, all_groups()) else None


def live_group(path: Path) -> int | None:
    """Return the group of one note if it still runs and is the one that was noted."""
    note = _read_note(path)
    return note.pgid if note is not None and _runs(note, {note.pgid: group_members(note.pgid)}) else None


@dataclass(frozen=True, kw_only=True)
class _Note:
    pgid: int
    start_ticks: int
    owner: int
    owner_start_ticks: int


def _read_note(path: Path) -> _Note | None:
    """Return what a note says, or None if it can mean no process of now."""
    try:
        raw: dict[str, Any] = json.loads(path.read_text())
        noted_boot = str(raw["boot_id"])
        note = _Note(
            pgid=int(raw["pgid"]),
            start_ticks=int(raw["start_time"]),
            owner=int(raw.get("owner", 0)),
            owner_start_ticks=int(raw.get("owner_start_time", 0)),
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return note if note.pgid > 1 and noted_boot == boot_id() else None


def _owner_is_dead(note: _Note) -> bool:
    if not note.owner:
        return False  # noted by an older version: nobody knows
    stat = read_stat(note.owner)
    return stat is None or not stat.running or stat.start_ticks != note.owner_start_ticks


def _runs(note: _Note, groups: Mapping[int, list[ProcessStat]]) -> bool:
    """Return whether the noted group is still the one that was noted, and has running members."""
    members = groups.get(note.pgid, [])
    if not members:
        return False
    leader = read_stat(note.pgid)
    if leader is not None:
        return leader.start_ticks == note.start_ticks
    # The leader is gone, but its number stays taken while its group has members, so these are the noted ones unless
    # the whole group ended and the number went round: then they are no Chromium.
    return any("chrom" in command_line(member.pid) for member in members)


def _kill(pgid: int) -> bool:
    try:
        os.killpg(pgid, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True
