"""What the guard does: keeps the deadlines that the shard tells it, and kills the Chromium of a session past its own.

The shard's clock and the guard's are the same (boot time). A shard that is stopped, stalled or gone tells nothing more,
and that is all it takes.
"""

import contextlib
import fcntl
import json
import os
import select
import signal
import socket
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from daemon.core.clock import boot_s
from shards.guard.killing import kill_browsers

MAX_MESSAGE_BYTES = 65536
IGNORED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
"""A stop is the shard's business: the guard goes when the shard has gone."""
_AGAIN_S = 0.1
_AT_MOST_S = 0.25
"""How long to sleep on: select does not count the time in which the host slept, and the deadlines do."""
_END_S = 5.0


class Watch:
    """The deadlines of one shard's sessions."""

    def __init__(self, orders: socket.socket, *, shard: str, notes: Path, sessions: Path, lock: Path) -> None:
        """`orders` is a socket that keeps messages apart; `lock` is the file that a living shard has locked."""
        self._orders = orders
        self._shard = shard
        self._notes = notes
        self._sessions = sessions
        self._lock = lock
        self._deadlines: dict[str, float] = {}
        self._told: set[str] = set()

    def run(self) -> None:
        """Watch until the shard is gone, then end what it left."""
        while self._take():
            self._end_overdue()
        self._end_all()

    def _take(self) -> bool:
        """Wait for the next message or deadline; False when the shard is gone."""
        wait_s = None
        if self._told:
            wait_s = _AGAIN_S
        elif self._deadlines:
            wait_s = min(_AT_MOST_S, max(0.0, min(self._deadlines.values()) - boot_s()))
        ready, _, _ = select.select([self._orders], [], [], wait_s)
        if not ready:
            return True
        try:
            message = self._orders.recv(MAX_MESSAGE_BYTES)
        except OSError:
            return False
        if not message:
            return False
        self._obey(message)
        return True

    def _obey(self, message: bytes) -> None:
        order = json.loads(message)
        for session_id, deadline_boot_s in order.get("hold", {}).items():
            self._deadlines[session_id] = float(deadline_boot_s)
            self._told.discard(session_id)
        for session_id in order.get("drop", ()):
            self._deadlines.pop(session_id, None)
            self._told.discard(session_id)

    def _end_overdue(self) -> None:
        """Kill, and go on looking until the shard says otherwise: it may be just starting another one."""
        now_boot_s = boot_s()
        overdue = {i for i, deadline_boot_s in self._deadlines.items() if deadline_boot_s <= now_boot_s}
        if not overdue:
            return
        for session_id in kill_browsers(self._notes, self._sessions, overdue):
            self._say("guard killed Chromium: the lease ran out and the shard did not end it", session_id)
        self._told |= overdue

    def _end_all(self) -> None:
        with self._nobody_else() as alone:
            deadline_s = time.monotonic() + _END_S
            while alone and time.monotonic() < deadline_s:
                killed = kill_browsers(self._notes, self._sessions)
                if not killed:
                    return
                for session_id in killed:
                    self._say("guard killed Chromium: its shard is gone", session_id)
                time.sleep(_AGAIN_S)

    @contextlib.contextmanager
    def _nobody_else(self):  # type: ignore[no-untyped-def]  # a generator; typing would be imported for this alone
        """Give whether no process of this shard lives; while the block lasts none can begin.

        If the next one has begun it has ended what was left, and what runs is its own.
        """
        lock = os.open(self._lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
            else:
                yield True
        finally:
            os.close(lock)

    def _say(self, what: str, session_id: str) -> None:
        at = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        print(f"{at} [error    ] {what} session_id={session_id} shard={self._shard}", file=sys.stderr, flush=True)
