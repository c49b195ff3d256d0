"""A real redis-server that can be killed, started again, emptied, and set back to an earlier state."""

import contextlib
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import redis

from tests.places import SHORT
from tests.servers.child import running


class LosingRedis:
    """One Redis at one address for the whole test, whatever happens to its process."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._dump = folder / "dump.rdb"
        self._running: contextlib.ExitStack | None = None
        self.url = f"unix://{folder / 'r.sock'}"
        self.client = redis.Redis.from_url(self.url, decode_responses=True)

    def start(self) -> None:
        """Start it on what its dump says."""
        binary = shutil.which("redis-server")
        assert binary is not None, "redis-server is not installed: run bin/setup --tests"
        command = [binary, "--port", "0", "--unixsocket", self._folder / "r.sock", "--unixsocketperm", "700",
                   "--dir", self._folder, "--save", "", "--appendonly", "no", "--loglevel", "notice"]  # fmt: skip
        self._running = contextlib.ExitStack()
        self._running.enter_context(running(command, ready=r"[Rr]eady to accept connections"))

    def stop(self) -> None:
        """End it, if it runs; with `save ''` nothing is written at its end."""
        self.client.close()
        if self._running is not None:
            self._running.close()
            self._running = None

    @contextlib.contextmanager
    def standing_still(self) -> Iterator[None]:
        """Stop its process for a while: connections stand, and nothing answers."""
        pid = int(self.client.info("server")["process_id"])
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(pid, signal.SIGCONT)

    def keep(self) -> None:
        """Write the present state down: what a start finds."""
        self.client.save()

    def fall_back(self) -> None:
        """End it and start it on the state that was kept last, as a fail-over to a lagging replica would."""
        self.stop()
        self.start()

    def restart(self) -> None:
        """End it and start it again without a loss."""
        self.keep()
        self.fall_back()


@contextlib.contextmanager
def losing_redis() -> Iterator[LosingRedis]:
    """Run one."""
    with tempfile.TemporaryDirectory(prefix="rl-", dir=SHORT) as folder:
        server = LosingRedis(Path(folder))
        server.start()
        try:
            yield server
        finally:
            server.stop()
