"""Processes of the product, forked by `prefork` instead of started from nothing; used as asyncio's own processes."""

import asyncio
import atexit
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

from daemon.embedded.parent import die_with_parent

_REPOSITORY = Path(__file__).parents[2]


class Forked:
    """A process: `pid`, `returncode`, `send_signal`, `kill` and `wait` are those of `asyncio.subprocess.Process`."""

    def __init__(self, pid: int, pidfd: int, told: int) -> None:
        self.pid = pid
        self._pidfd = pidfd
        self._told = told
        self._returncode: int | None = None
        os.set_blocking(told, False)

    @property
    def returncode(self) -> int | None:
        """How it ended, negative for a signal; None while it runs."""
        if self._returncode is None:
            try:
                self._returncode = int(os.read(self._told, 16))
            except BlockingIOError:
                return None
            os.close(self._told)
            os.close(self._pidfd)
        return self._returncode

    def send_signal(self, number: int) -> None:
        """Send a signal.

        Raises:
            ProcessLookupError: it has ended.
        """
        if self.returncode is not None:
            raise ProcessLookupError(self.pid)
        signal.pidfd_send_signal(self._pidfd, number)

    def kill(self) -> None:
        """Send SIGKILL; raises as `send_signal`."""
        self.send_signal(signal.SIGKILL)

    async def wait(self) -> int:
        """Return how it ended once it has."""
        while (code := self.returncode) is None:
            ended = asyncio.Event()
            loop, told = asyncio.get_running_loop(), os.dup(self._told)  # several may wait at once
            loop.add_reader(told, ended.set)
            try:
                await ended.wait()
            finally:
                loop.remove_reader(told)
                os.close(told)
        return code


def fork_module(words: Sequence[str], *, cwd: Path, env: Mapping[str, str], log: Path) -> Forked:
    """Start `python -m` with these words; output is appended to `log`."""
    orders = _prefork()
    orders.send(json.dumps({"words": list(words), "cwd": str(cwd), "env": dict(env), "log": str(log)}).encode())
    pid, fds, _, _ = socket.recv_fds(orders, 64, 2)
    return Forked(int(pid), *fds)


@cache
def _prefork() -> socket.socket:
    """Start the process that forks, one for each test process."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        child = subprocess.Popen(
            [sys.executable, "-m", "tests.servers.prefork", str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            cwd=_REPOSITORY,
            preexec_fn=die_with_parent,
        )

    def end() -> None:
        child.kill()
        child.wait()

    atexit.register(end)
    return ours
