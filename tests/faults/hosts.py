"""Hosts on one machine: network namespaces with a cable each, and an installation whose shards live in them.

Every host reaches Redis, the object store and the stand-in at the same loopback ports as this process does, through a
forwarder on each end of its cable. A cable that is pulled loses packets without a word, as a real one.
"""

import asyncio
import contextlib
import secrets
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

import psutil
import pytest

from tests.integration.house.house import ROOT, House
from tests.servers.child import free_ports
from tests.servers.forward import forwarding


def _ip(*words: str, in_namespace: str | None = None) -> None:
    command = ["ip", *(["-n", in_namespace] if in_namespace else []), *words]
    subprocess.run(command, check=True, capture_output=True, text=True, timeout=10)


def need_namespaces() -> None:
    """Skip the test where the system does not allow namespaces to be made."""
    if shutil.which("ip") is None:
        pytest.skip("iproute2 is not installed")
    name = f"bz{secrets.token_hex(3)}"
    try:
        _ip("netns", "add", name)
    except subprocess.CalledProcessError as error:
        pytest.skip(f"network namespaces cannot be made here: {error.stderr.strip()}")
    _ip("netns", "del", name)


class Host:
    """One host: a namespace and the cable to it."""

    def __init__(self, number: int) -> None:
        mark = secrets.token_hex(2)
        self.namespace = f"bz{mark}h{number}"
        self._cable = f"bz{mark}c{number}"
        net = f"10.{213 + number}.{secrets.randbelow(250)}"
        self.near, self.far = f"{net}.1", f"{net}.2"

    def make(self) -> None:
        """Make the namespace and plug the cable in."""
        _ip("netns", "add", self.namespace)
        _ip("link", "add", self._cable, "type", "veth", "peer", "name", "eth0", "netns", self.namespace)
        _ip("addr", "add", f"{self.near}/30", "dev", self._cable)
        _ip("addr", "add", f"{self.far}/30", "dev", "eth0", in_namespace=self.namespace)
        _ip("link", "set", "lo", "up", in_namespace=self.namespace)
        _ip("link", "set", "eth0", "up", in_namespace=self.namespace)
        self.plug()

    def unplug(self) -> None:
        """Pull the cable."""
        _ip("link", "set", self._cable, "down")

    def plug(self) -> None:
        """Plug the cable in again."""
        _ip("link", "set", self._cable, "up")

    def remove(self) -> None:
        """Remove what was made, as far as it was."""
        for words in (("link", "del", self._cable), ("netns", "del", self.namespace)):
            with contextlib.suppress(subprocess.CalledProcessError):
                _ip(*words)


class HostsHouse(House):
    """A house whose shards run on hosts of their own, each with a disk of its own."""

    def __init__(self, *args: Any, hosts: int = 2, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.hosts = [Host(number) for number in range(hosts)]
        self._redis_port = free_ports(1)
        self._cables = contextlib.AsyncExitStack()

    async def prepare(self) -> None:
        """Make the hosts, with everything that a shard needs at the same loopback ports as here."""
        redis_socket = self._redis_url.removeprefix("unix://")
        ports = {self._redis_port: redis_socket}
        for url in (self.standin.url, self.environment()["R2_ENDPOINT"]):
            port = urlsplit(url).port
            assert port is not None
            ports[port] = f"127.0.0.1:{port}"
        await self._cables.enter_async_context(cabled(self.hosts, ports))

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await super().__aexit__(kind, error, trace)
        await self._cables.aclose()

    def host_of(self, shard: str) -> Host:
        """Return the host of a shard: they are dealt out in turn."""
        return self.hosts[self.shard_names.index(shard) % len(self.hosts)]

    def environment_of(self, name: str) -> dict[str, str]:
        """Return the settings of one process."""
        if name not in self.shard_names:
            return self.environment()
        host = self.host_of(name)
        disk = self.home / host.namespace
        disk.mkdir(exist_ok=True)
        redis_url = f"redis://127.0.0.1:{self._redis_port}"
        return self.environment() | {"DATA_ROOT": str(disk), "HOST_NAME": host.namespace, "REDIS_URL": redis_url}

    def command(self, name: str) -> list[str]:
        """Return how a process is started on its host."""
        prefix = ["ip", "netns", "exec", self.host_of(name).namespace] if name in self.shard_names else []
        return [*prefix, *super().command(name)]

    def browsers_on(self, host: Host) -> list[psutil.Process]:
        """Return the Chromium processes of one host."""
        return [process for process in self.browsers() if f"/{host.namespace}/" in " ".join(process.cmdline())]


@contextlib.asynccontextmanager
async def cabled(hosts: Sequence[Host], ports: Mapping[int, str]) -> AsyncIterator[None]:
    """Make the hosts; each loopback port of `ports` leads there to its target here."""
    far_ends: list[asyncio.subprocess.Process] = []
    try:
        for host in hosts:
            host.make()
        async with forwarding([(f"{h.near}:{port}", target) for h in hosts for port, target in ports.items()]):
            for host in hosts:
                far_ends.append(await _far_end(host, list(ports)))
            yield
    finally:
        for process in far_ends:
            process.kill()
            await process.wait()
        for host in hosts:
            host.remove()


async def _far_end(host: Host, ports: Sequence[int]) -> asyncio.subprocess.Process:
    pairs = [f"127.0.0.1:{port}={host.near}:{port}" for port in ports]
    command = ["ip", "netns", "exec", host.namespace, sys.executable, "-m", "tests.servers.forward", *pairs]
    process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    assert await asyncio.wait_for(process.stdout.readline(), 20) == b"forwarding\n"
    return process
