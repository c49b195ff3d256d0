"""What a dead shard process left on this host: its name on leases, and browsers that must be seen dead.

Blocking; called in threads. Never touches a living process of the same shard, which supervisord may have started
already: browsers are ended only if the very process that started them is dead.
"""

import time
from pathlib import Path

from daemon.core.clock import mono_s
from shards.browser.orphans import end_ownerless
from shards.browser.procfs import read_stat
from shards.identity import read_traces

_POLL_S = 0.02


def dead_holder(name: str, pid: int, run_dir: Path) -> str | None:
    """Return what the leases of a shard's dead process begin with.

    `pid` is the process that supervisord saw end, or 0 when it does not say; then it is the last one that had the
    shard's lock, if that is dead.

    Returns:
        None if the name is no shard's that ran here, or if its last process is alive.
    """
    traces = read_traces(name, run_dir)
    if traces is None:
        return None
    pid_text = traces.incarnation.partition("-")[0]
    last_pid = int(pid_text) if pid_text.isdigit() else 0
    if pid == 0 and (not last_pid or _is_alive(last_pid)):
        return None
    if pid in (0, last_pid):
        # To the last letter, so that a later process with the same number is never meant.
        return f"{traces.dead_prefix}{traces.incarnation}|"
    return f"{traces.dead_prefix}{pid}-"


def _is_alive(pid: int) -> bool:
    stat = read_stat(pid)
    return stat is not None and stat.running


def end_browsers(notes_dir: Path, *, timeout_s: float) -> bool:
    """Kill the browsers that dead processes of the shard left behind; return whether they were gone in time."""
    deadline_mono_s = mono_s() + timeout_s
    while end_ownerless(notes_dir):
        if mono_s() > deadline_mono_s:
            return False
        time.sleep(_POLL_S)
    return True
