"""Two hosts, one Redis and one bucket between them: one is cut off, and nothing runs twice."""

import shutil
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.faults.hosts import Host, HostsHouse, need_namespaces
from tests.integration.house.house import random_phone, until
from tests.servers.redis import redis_server
from tests.servers.s3 import S3Server

SESSIONS = 3


@pytest.fixture
async def house(s3: S3Server) -> AsyncIterator[HostsHouse]:
    """Two hosts with a shard each."""
    need_namespaces()
    home = Path(tempfile.mkdtemp(prefix="h"))
    with redis_server() as redis_url:
        async with HostsHouse(home, redis_url, s3.environment(), shards=2, hosts=2) as house:
            yield house
    shutil.rmtree(home, ignore_errors=True)


async def connected(house: HostsHouse, ids: list[str], on: str | None = None) -> None:
    for session_id in ids:

        async def up(session_id: str = session_id) -> bool:
            shown = await house.session(session_id)
            return shown["status"] == "connected" and shown["runs_on"] in ({on} if on else set(house.shard_names))

        await until(f"{session_id} is connected on {on or 'any shard'}", up, timeout_s=60)


async def test_the_sessions_of_a_host_that_is_cut_off_run_on_the_other_and_never_twice(house: HostsHouse) -> None:
    phones = [random_phone() for _ in range(SESSIONS)]
    ids = [await house.link(f"u{i}", phone) for i, phone in enumerate(phones)]
    lost = (await house.session(ids[0]))["shard"]
    other = next(name for name in house.shard_names if name != lost)
    host = house.host_of(lost)
    assert house.browsers_on(host)

    host.unplug()
    await connected(house, ids, on=other)
    assert not house.browsers_on(host), "the host that was cut off has not fenced itself"

    host.plug()
    await until("the host is back", lambda: alive(house, lost), timeout_s=60)
    await only_on(house, ids, other, host)
    for session_id, phone in zip(ids, phones, strict=True):
        await house.phone("inbound", phone=phone, **{"from": "5511888880001@c.us"}, body=f"to {session_id}")
        assert (await house.event(session_id, "message"))["data"]["body"] == f"to {session_id}"
        assert house.receiver.kinds(session_id).count("conflict") == 0
        assert house.receiver.kinds(session_id).count("qr") == 1
        assert (await house.device(phone))["stale_logins"] == 0
    told = [event["id"] for event in house.receiver.events]
    assert len(told) == len(set(told))


async def alive(house: HostsHouse, name: str) -> bool:
    shards = (await house.http.get("/api/whatsapp/shards")).json()["shards"]
    return any(shard["name"] == name and shard["alive"] for shard in shards)


async def only_on(house: HostsHouse, ids: list[str], shard: str, away: Host) -> None:
    """Check that nothing is opened on the other host, for as long as it takes to look at the placements."""
    looks = 0

    async def looked() -> bool:
        nonlocal looks
        assert not house.browsers_on(away)
        looks += 1
        return looks >= 40

    await until("many looks", looked)
    await connected(house, ids, on=shard)


async def test_a_second_shard_of_one_name_does_not_start_on_another_host(house: HostsHouse) -> None:
    first, second = house.shard_names
    await house.stop(second)
    # The other host is told to run the name that lives here.
    command = house.command(second)
    command[command.index(second)] = first
    await house.start(second, command)
    assert await house.processes[second].wait() == 75
    said = (house.home / f"{second}.log").read_text()
    assert "shard_name_taken" in said and house.host_of(first).namespace in said
