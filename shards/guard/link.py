"""The shard's side of its guard: starts it, tells it every deadline, and starts another one if it dies."""

import asyncio
import contextlib
import json
import signal
import socket
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

import structlog

from daemon.core.settings import own_environment
from shards.guard.watch import IGNORED, MAX_MESSAGE_BYTES

log = structlog.get_logger()

_BATCH = 200
_END_S = 6.0
_START_AGAIN_S = 0.2


class Guard:
    """The guard process of one shard. Calls return at once, whatever the guard does."""

    def __init__(self, *, shard: str, notes_dir: Path, sessions_dir: Path, lock: Path) -> None:
        self._command = [sys.executable, "-m", "shards.guard", "--shard", shard, "--notes", str(notes_dir.absolute()),
                         "--sessions", str(sessions_dir), "--lock", str(lock.absolute())]  # fmt: skip
        self._deadlines: dict[str, float] = {}
        self._child: subprocess.Popen[bytes] | None = None
        self._orders: socket.socket | None = None
        self._closing = False

    def start(self) -> None:
        """Start the guard. Call it on the running event loop, before anything is held."""
        # Messages are kept apart and written whole or not at all.
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        before = signal.pthread_sigmask(signal.SIG_BLOCK, IGNORED)
        try:
            with theirs:
                # Its own session: a signal to the shard's group must not reach it; and none before it ignores them.
                self._child = subprocess.Popen(
                    [*self._command, "--fd", str(theirs.fileno())],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    env=own_environment(),
                    pass_fds=(theirs.fileno(),),
                    start_new_session=True,
                )
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        self._orders = ours
        asyncio.get_running_loop().add_reader(ours, self._on_gone)
        self._send_holds(self._deadlines)

    @property
    def pid(self) -> int | None:
        """Process id of the guard, None while there is none."""
        return self._child.pid if self._child else None

    def hold(self, deadlines_boot_s: Mapping[str, float]) -> None:
        """Tell until when (`daemon.core.clock.boot_s`) each of these sessions may run."""
        self._deadlines |= deadlines_boot_s
        self._send_holds(deadlines_boot_s)

    def drop(self, session_id: str) -> None:
        """Say that the session has ended and nothing of it runs."""
        if self._deadlines.pop(session_id, None) is not None:
            self._send({"drop": [session_id]})

    async def close(self) -> None:
        """Let the guard go, once nothing runs any more."""
        self._closing = True
        self._forget()
        child, self._child = self._child, None
        if child is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                await asyncio.get_running_loop().run_in_executor(None, child.wait, _END_S)

    def _send_holds(self, deadlines_boot_s: Mapping[str, float]) -> None:
        for batch in _batches(list(deadlines_boot_s.items())):
            self._send({"hold": dict(batch)})

    def _send(self, order: Mapping[str, object]) -> None:
        if self._orders is None:
            return
        message = json.dumps(order, separators=(",", ":")).encode()
        assert len(message) < MAX_MESSAGE_BYTES
        try:
            self._orders.send(message)
        except OSError:
            # It is gone, or does not read: then it does not watch either.
            self._on_gone()

    def _on_gone(self) -> None:
        """The guard ended or hangs: start another, which is told everything again."""
        if self._orders is None or self._closing:
            return
        self._forget()
        child, self._child = self._child, None
        if child is not None:
            child.kill()
            child.wait()
            log.error("guard ended, starting another", exit_status=child.returncode)
        asyncio.get_running_loop().call_later(_START_AGAIN_S, self._start_again)

    def _start_again(self) -> None:
        if self._closing or self._orders is not None:
            return
        try:
            self.start()
        except OSError as error:
            log.error("guard not started, trying again", error=error.strerror)
            asyncio.get_running_loop().call_later(_START_AGAIN_S, self._start_again)

    def _forget(self) -> None:
        if self._orders is not None:
            asyncio.get_running_loop().remove_reader(self._orders)
            self._orders.close()
            self._orders = None


def _batches(items: list[tuple[str, float]]) -> Iterable[list[tuple[str, float]]]:
    return (items[start : start + _BATCH] for start in range(0, len(items), _BATCH))
