"""A real Redis Cluster of local processes: masters, each with one replica if asked for."""

import contextlib
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import redis

from tests.places import SHORT
from tests.servers.child import free_ports, running

_SLOTS = 16384
_READY_S = 30.0


class Cluster:
    """A running cluster."""

    def __init__(self, ports: list[int], masters: int) -> None:
        self.ports = ports
        self.masters = ports[:masters]
        self.url = "redis+cluster://" + ",".join(f"127.0.0.1:{port}" for port in ports)
        self._running: dict[int, contextlib.ExitStack] = {}

    def start(self, folder: Path) -> None:
        """Start every node and make one cluster of them."""
        for port in self.ports:
            self._start_node(port, folder)
        nodes = {port: redis.Redis(port=port, decode_responses=True) for port in self.ports}
        for number, port in enumerate(self.masters):
            first = _SLOTS * number // len(self.masters)
            last = _SLOTS * (number + 1) // len(self.masters) - 1
            nodes[port].execute_command("CLUSTER", "ADDSLOTSRANGE", first, last)
        for port in self.ports[1:]:
            nodes[port].execute_command("CLUSTER", "MEET", "127.0.0.1", self.ports[0], self._bus(self.ports[0]))
        _until("the nodes know each other", lambda: all(self._known(n) == len(self.ports) for n in nodes.values()))
        for number, port in enumerate(self.ports[len(self.masters) :]):
            master = nodes[self.masters[number]].execute_command("CLUSTER", "MYID")
            nodes[port].execute_command("CLUSTER", "REPLICATE", master)
        _until("the cluster is whole", lambda: all(self._whole(node) for node in nodes.values()))
        replicas = [nodes[port] for port in self.ports[len(self.masters) :]]
        _until("replicas follow", lambda: all(r.info("replication")["master_link_status"] == "up" for r in replicas))
        for node in nodes.values():
            node.close()

    def _start_node(self, port: int, folder: Path) -> None:
        binary = shutil.which("redis-server")
        assert binary is not None, "redis-server is not installed: run bin/setup --tests"
        home = folder / str(port)
        home.mkdir()
        command = [binary, "--port", str(port), "--cluster-port", str(self._bus(port)), "--bind", "127.0.0.1",
                   "--dir", str(home), "--cluster-enabled", "yes", "--cluster-node-timeout", "1000", "--save", "",
                   "--appendonly", "no"]  # fmt: skip
        self._running[port] = contextlib.ExitStack()
        self._running[port].enter_context(running(command, ready=r"[Rr]eady to accept connections"))

    def _bus(self, port: int) -> int:
        return port + len(self.ports)

    def _known(self, node: "redis.Redis") -> int:
        return int(_told(node)["cluster_known_nodes"])

    def _whole(self, node: "redis.Redis") -> bool:
        told = _told(node)
        return told["cluster_state"] == "ok" and int(told["cluster_slots_assigned"]) == _SLOTS

    def kill(self, port: int) -> None:
        """End a node without a word to the others."""
        self._running.pop(port).close()

    @contextlib.contextmanager
    def standing_still(self, port: int) -> Iterator[None]:
        """Stop the process of a node for a while: connections stand, and nothing answers."""
        with redis.Redis(port=port) as client:
            pid = int(client.info("server")["process_id"])
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(pid, signal.SIGCONT)

    def stop(self) -> None:
        """End all nodes."""
        for stack in self._running.values():
            stack.close()


def _told(node: "redis.Redis") -> dict[str, str]:
    lines = str(node.execute_command("CLUSTER", "INFO")).splitlines()
    return dict(line.split(":", 1) for line in lines if ":" in line)


def _until(what: str, probe: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _READY_S
    while True:
        with contextlib.suppress(redis.RedisError):
            if probe():
                return
        if time.monotonic() > deadline:
            raise RuntimeError(f"not in {_READY_S} s: {what}")
        time.sleep(0.05)


@contextlib.contextmanager
def redis_cluster(*, masters: int = 3, replicas: bool = False) -> Iterator[Cluster]:
    """Run a cluster."""
    count = masters * (2 if replicas else 1)
    # As many again for the nodes' bus: the default, the port plus 10000, may be a client's at that moment.
    first = free_ports(2 * count)
    with tempfile.TemporaryDirectory(prefix="rc-", dir=SHORT) as folder:
        cluster = Cluster(list(range(first, first + count)), masters)
        try:
            cluster.start(Path(folder))
            yield cluster
        finally:
            cluster.stop()
