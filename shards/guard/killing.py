"""Finding and ending the browsers of sessions, without knowing anything of the process that started them.

By the shard's notes of process groups, and by the profile directory on the command line: a browser that is just being
started has no note yet.
"""

import contextlib
import os
import signal
from collections.abc import Collection
from pathlib import Path

from shards.browser.orphans import SUFFIX, running_group
from shards.browser.procfs import read_stat

_PROC = Path("/proc")
_ARGUMENT = b"--user-data-dir="


def kill_browsers(notes: Path, sessions: Path, session_ids: Collection[str] | None = None) -> set[str]:
    """Kill the browsers of these sessions, or of all below `sessions`; return the sessions that had one."""
    killed = {session_id for session_id in _noted(notes, session_ids) if _kill_noted(notes, session_id)}
    for session_id, pid in _running(sessions):
        if session_ids is None or session_id in session_ids:
            _kill(pid)
            killed.add(session_id)
    return killed


def _noted(notes: Path, session_ids: Collection[str] | None) -> Collection[str]:
    if session_ids is not None:
        return session_ids
    return [path.name.removesuffix(SUFFIX) for path in notes.glob(f"*{SUFFIX}")]


def _kill_noted(notes: Path, session_id: str) -> bool:
    group = running_group(notes / f"{session_id}{SUFFIX}")
    if group is None:
        return False
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)
    return True


def _running(sessions: Path) -> list[tuple[str, int]]:
    """Return session and pid of each process that has a profile below `sessions` on its command line."""
    prefix = _ARGUMENT + os.fsencode(sessions) + b"/"
    found = []
    for entry in _PROC.iterdir():
        if not entry.name.isdigit():
            continue
        with contextlib.suppress(OSError):
            for word in (entry / "cmdline").read_bytes().split(b"\0"):
                if word.startswith(prefix):
                    found.append((os.fsdecode(word[len(prefix) :]), int(entry.name)))
    return found


def _kill(pid: int) -> None:
    stat = read_stat(pid)
    with contextlib.suppress(ProcessLookupError):
        # Only a group of its own: the process may as well stand in somebody's shell.
        if stat is not None and stat.pgid == pid:
            os.killpg(pid, signal.SIGKILL)
        else:
            os.kill(pid, signal.SIGKILL)
