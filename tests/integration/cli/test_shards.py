"""`blazz shards` as a real process against a real coordinator, with shards that only beat."""

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.integration.coordinator.coordinators import Coordinators
from tests.integration.coordinator.placing import Floor, floor
from tests.integration.house.house import ROOT, TOKEN, until


@pytest.fixture
async def room(redis_url: str) -> AsyncIterator[Floor]:
    """Two shards, and three sessions that the first one runs."""
    async with floor(redis_url) as made:
        await made.beat("shard_00", "shard_01")
        await made.sessions(3, up_on="shard_00")
        yield made


@pytest.fixture
async def port(room: Floor, redis_url: str, tmp_path: Path) -> AsyncIterator[str]:
    """The port of a coordinator that leads."""
    async with Coordinators(tmp_path, redis_url) as coordinators:
        _, client = await coordinators.start()
        await coordinators.listening(client)
        yield str(client.base_url.port)


async def begin(port: str, *words: str) -> asyncio.subprocess.Process:
    environment = {
        "PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "API_TOKEN": TOKEN, "COORDINATOR_PORT": port,
        "R2_ENDPOINT": "http://127.0.0.1:1", "R2_ACCESS_KEY_ID": "none", "R2_SECRET_ACCESS_KEY": "none",
    }  # fmt: skip
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "daemon.cli", "shards", *words, cwd="/", env=environment,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT, preexec_fn=heed_interrupts,
    )  # fmt: skip


def heed_interrupts() -> None:
    """As at a terminal: tests that run in a shell's background inherit that SIGINT is ignored."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


async def said(process: asyncio.subprocess.Process) -> tuple[int | None, str]:
    output, _ = await asyncio.wait_for(process.communicate(), 60)
    return process.returncode, output.decode()


async def test_a_drain_that_is_not_followed_any_more_goes_on(room: Floor, port: str) -> None:
    following = await begin(port, "drain", "shard_00")

    async def handing_over() -> bool:
        drain = (await room.registry.drains.all()).get("shard_00")
        return drain is not None and drain.count is not None and drain.count.moving == 3

    await until("all three are being handed over", handing_over)
    ending = asyncio.create_task(said(following))
    while not ending.done():
        # Again, as a person does: Python drops an interrupt that comes in the wrong moment.
        with contextlib.suppress(ProcessLookupError):
            following.send_signal(signal.SIGINT)
        await asyncio.wait([ending], timeout=15)
    code, output = ending.result()
    assert (code, "the drain goes on" in output) == (130, True), output
    assert await handing_over()
    await room.arrive()
    code, output = await said(await begin(port, "drain", "shard_00", "--json"))
    assert code == 0, output
    assert json.loads(output.splitlines()[-1])["drain"]["total"] == 3
    await room.check_sets("shard_00", "shard_01")


async def test_lists_and_drains_without_waiting_and_takes_it_back(room: Floor, port: str) -> None:
    code, output = await said(await begin(port, "drain", "shard_01", "--no-wait"))
    assert (code, "is being drained" in output) == (0, True), output

    async def listed_as_drained() -> bool:
        listed = await said(await begin(port, "list"))
        assert listed[0] == 0, listed[1]
        return any("shard_01" in line and "drained" in line for line in listed[1].splitlines())

    await until("it is listed as drained", listed_as_drained)
    code, output = await said(await begin(port, "undrain", "shard_01"))
    assert (code, "takes sessions again" in output) == (0, True), output
    shown = await said(await begin(port, "show", "shard_01", "--json"))
    assert json.loads(shown[1])["drain"] is None


async def test_without_a_coordinator_it_says_where_it_looked(room: Floor) -> None:
    code, output = await said(await begin("1", "list"))
    assert (code, "coordinator_unavailable" in output) == (69, True), output
