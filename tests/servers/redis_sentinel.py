"""Real Redis with Sentinel: a master, a replica and three sentinels as local processes."""

import contextlib
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import redis

from tests.places import SHORT
from tests.servers.child import free_ports, running

MASTER = "mymaster"
_READY_S = 30.0


class Watched:
    """A master with a replica, watched by sentinels."""

    def __init__(self, first: int) -> None:
        self.data_ports = [first, first + 1]
        self.sentinel_ports = [first + 2, first + 3, first + 4]
        hosts = ",".join(f"127.0.0.1:{port}" for port in self.sentinel_ports)
        self.url = f"redis+sentinel://{hosts}/{MASTER}"
        self._running: dict[int, contextlib.ExitStack] = {}

    def start(self, folder: Path) -> None:
        """Start everything and wait until the sentinels know it all."""
        master, replica = self.data_ports
        self._start(folder, master, [])
        self._start(folder, replica, ["--replicaof", f"127.0.0.1 {master}"])
        for port in self.sentinel_ports:
            config = folder / f"sentinel-{port}.conf"
            config.write_text(
                f"port {port}\nbind 127.0.0.1\ndir {folder}\nsentinel monitor {MASTER} 127.0.0.1 {master} 2\n"
                f"sentinel down-after-milliseconds {MASTER} 700\nsentinel failover-timeout {MASTER} 3000\n"
            )
            self._run(port, [_binary(), str(config), "--sentinel"], r"Sentinel ID|\+monitor")
        _until("the replica follows", lambda: self._info(replica)["master_link_status"] == "up")
        for port in self.sentinel_ports:
            _until("the sentinels know each other and the replica", lambda port=port: self._knows_all(port))

    def _start(self, folder: Path, port: int, more: list[str]) -> None:
        home = folder / str(port)
        home.mkdir()
        command = [_binary(), "--port", str(port), "--bind", "127.0.0.1", "--dir", str(home), "--save", "",
                   "--appendonly", "no", "--repl-diskless-sync-delay", "0", *more]  # fmt: skip
        self._run(port, command, r"[Rr]eady to accept connections")

    def _run(self, port: int, command: list[str], ready: str) -> None:
        self._running[port] = contextlib.ExitStack()
        self._running[port].enter_context(running(command, ready=ready))

    def _info(self, port: int) -> dict[str, str]:
        with redis.Redis(port=port, decode_responses=True) as client:
            return dict(client.info("replication"))

    def _knows_all(self, port: int) -> bool:
        with redis.Redis(port=port, decode_responses=True) as client:
            seen = client.sentinel_master(MASTER)
            return int(seen["num-slaves"]) == 1 and int(seen["num-other-sentinels"]) == 2

    def master(self) -> int:
        """Return the port of the present master, as a sentinel says."""
        with redis.Redis(port=self.sentinel_ports[0], decode_responses=True) as client:
            return int(client.sentinel_get_master_addr_by_name(MASTER)[1])

    def kill(self, port: int) -> None:
        """End a process without a word to the others."""
        self._running.pop(port).close()

    def stop(self) -> None:
        """End everything."""
        for stack in self._running.values():
            stack.close()


def _binary() -> str:
    binary = shutil.which("redis-server")
    assert binary is not None, "redis-server is not installed: run bin/setup --tests"
    return binary


def _until(what: str, probe: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _READY_S
    while True:
        with contextlib.suppress(redis.RedisError, KeyError):
            if probe():
                return
        if time.monotonic() > deadline:
            raise RuntimeError(f"not in {_READY_S} s: {what}")
        time.sleep(0.05)


@contextlib.contextmanager
def redis_sentinel() -> Iterator[Watched]:
    """Run them."""
    with tempfile.TemporaryDirectory(prefix="rs-", dir=SHORT) as folder:
        watched = Watched(free_ports(5))
        try:
            watched.start(Path(folder))
            yield watched
        finally:
            watched.stop()
