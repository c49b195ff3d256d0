"""The processes of a simulated world: those of the product, forked by the zygote, and Redis."""

import asyncio
import contextlib
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from daemon.embedded.parent import die_with_parent

_REPOSITORY = Path(__file__).parents[3]
_POLL_S = 0.005
_READY_S = 60.0


@dataclass(frozen=True, kw_only=True)
class Child:
    """A process of the product."""

    pid: int
    pidfd: int

    @property
    def lives(self) -> bool:
        """Whether it still runs (or is stopped)."""
        return not select.select([self.pidfd], [], [], 0)[0]

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal; nothing if it has ended."""
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self.pidfd, number)

    async def ended(self) -> None:
        """Return once it has ended."""
        loop, gone = asyncio.get_running_loop(), asyncio.Event()
        loop.add_reader(self.pidfd, gone.set)
        try:
            await gone.wait()
        finally:
            loop.remove_reader(self.pidfd)

    def close(self) -> None:
        """Forget it."""
        os.close(self.pidfd)


class Zygote:
    """Where the processes of the product come from."""

    def __init__(self, orders: socket.socket) -> None:
        self._orders = orders

    def fork(self, order: Mapping[str, Any]) -> Child:
        """Start a process; see `zygote` for what an order is."""
        self._orders.send(json.dumps(order).encode())
        answer, handles, _, _ = socket.recv_fds(self._orders, 64, 1)
        return Child(pid=int(answer), pidfd=handles[0])


@contextlib.contextmanager
def zygote() -> Iterator[Zygote]:
    """Run a zygote; all its children end with it."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours:
        with theirs:
            child = subprocess.Popen(
                [sys.executable, "-m", "tests.faults.simulation.zygote", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                cwd=_REPOSITORY,
                preexec_fn=die_with_parent,
            )
        try:
            yield Zygote(ours)
        finally:
            child.kill()
            child.wait()


class RedisServer:
    """One redis-server on a unix socket, through kills and restarts."""

    def __init__(self, folder: Path, *, keeps: bool) -> None:
        """`keeps`: it loses nothing when killed; else it goes back to its last dump."""
        self._folder = folder
        self._keeps = keeps
        self._child: subprocess.Popen[bytes] | None = None
        self.socket = folder / "r.sock"
        self.hidden_socket = folder / "r.new"
        """Where it listens after a start, until it is shown."""

    async def start(self) -> None:
        """Start it on the hidden socket, where nobody of the product finds it yet."""
        self._child = subprocess.Popen(
            [shutil.which("redis-server") or "redis-server", "--port", "0", "--unixsocket", self.hidden_socket,
             "--dir", self._folder, "--save", "", "--appendonly", "yes" if self._keeps else "no",
             "--appendfsync", "no", "--loglevel", "warning", "--logfile", self._folder / "redis.log"],
            stdin=subprocess.DEVNULL,
            preexec_fn=die_with_parent,
        )  # fmt: skip
        async with asyncio.timeout(_READY_S):
            while True:
                with contextlib.suppress(OSError):
                    if b"PONG" in await self.ask("PING", hidden=True):
                        return
                await asyncio.sleep(_POLL_S)

    def show(self) -> None:
        """Let everybody find it."""
        self.hidden_socket.rename(self.socket)

    async def ask(self, command: str, *, hidden: bool = False) -> bytes:
        """Send one command and return the first line of its answer."""
        path = self.hidden_socket if hidden else self.socket
        reader, writer = await asyncio.open_unix_connection(str(path))
        try:
            writer.write(f"{command}\r\n".encode())
            return await reader.readline()
        finally:
            writer.close()

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        if self._child is not None and self._child.poll() is None:
            self._child.send_signal(number)

    def kill(self) -> None:
        """Kill it, and return when it is dead."""
        if self._child is not None:
            self._child.kill()
            self._child.wait()
            self._child = None
        self.socket.unlink(missing_ok=True)
