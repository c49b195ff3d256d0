"""Redis loses data under running sessions: they run on, are written again, and come back from the newest copy."""

import asyncio
import signal
from collections.abc import Iterator
from typing import Any

import pytest

from tests.integration.house.conftest import Open
from tests.integration.house.house import House, random_phone, until
from tests.servers.redis_losing import LosingRedis, losing_redis


@pytest.fixture
def server() -> Iterator[LosingRedis]:
    with losing_redis() as server:
        yield server


@pytest.fixture
def redis_url(server: LosingRedis) -> str:
    """A Redis of this test's own, because it loses data."""
    return server.url


async def listed(house: House, session_id: str) -> dict[str, Any]:
    """Wait until the API shows the session connected, and not by what it knew before."""

    async def probe() -> dict[str, Any] | None:
        answer = await house.http.get(f"/api/whatsapp/sessions/{session_id}")
        shown: dict[str, Any] = answer.json()
        return shown if answer.status_code == 200 and shown["status"] == "connected" and shown["hot_copy"] else None

    return dict(await until(f"{session_id} is known again, with a hot copy", probe))


async def test_an_emptied_redis_ends_no_session_and_holds_all_of_them_again(
    open_house: Open, server: LosingRedis
) -> None:
    async with open_house(shards=2) as house:
        phones = [random_phone() for _ in range(3)]
        ids = [await house.link(f"u{i}", phone) for i, phone in enumerate(phones)]
        before = {process.pid for process in house.browsers()}
        tokens = {i: (await house.session(i))["shard"] for i in ids}
        server.client.flushall()
        shown = [await listed(house, session_id) for session_id in ids]
        assert {s["session_id"]: s["shard"] for s in shown} == tokens
        assert {process.pid for process in house.browsers()} == before
        for session_id, phone in zip(ids, phones, strict=True):
            await house.phone("inbound", phone=phone, **{"from": "5511888880001@c.us"}, body="after")
            assert (await house.event(session_id, "message"))["data"]["body"] == "after"
        # All that was lost is there again: a crash now costs nothing.
        for name in house.shard_names:
            await house.stop(name, signal.SIGKILL)
        house.wipe_profiles()
        for name in house.shard_names:
            await house.start(name)
        for session_id, phone in zip(ids, phones, strict=True):
            await house.event(session_id, "session_restored")
            await house.status(session_id, "connected")
            assert (await house.device(phone))["stale_logins"] == 0
            assert house.receiver.kinds(session_id).count("qr") == 1


async def test_a_session_that_nobody_runs_comes_back_from_the_bucket_although_redis_fell_back(
    open_house: Open, server: LosingRedis
) -> None:
    async with open_house() as house:
        phone = random_phone()
        session_id = await house.link("u", phone)
        server.keep()  # an older hot copy, an older record, an older token
        await house.http.post(f"/api/whatsapp/sessions/{session_id}/restart")
        await house.event(session_id, "session_restored")
        await house.status(session_id, "connected")
        await house.archived_anew(session_id)
        await house.http.post(f"/api/whatsapp/sessions/{session_id}/backup")
        newest = (await house.session(session_id))["archive"]
        await house.stop("shard_00", signal.SIGKILL)
        house.wipe_profiles()
        server.fall_back()
        await house.start("shard_00")
        restored = await house.event(session_id, "session_restored", 2)
        assert restored["data"]["source"] == "r2"
        assert (restored["data"]["token"], restored["data"]["generation"]) == (newest["token"], newest["generation"])
        await house.status(session_id, "connected")
        assert (await house.device(phone))["stale_logins"] == 0
        assert house.receiver.kinds(session_id).count("qr") == 1


async def test_a_running_session_survives_a_redis_that_fell_back(open_house: Open, server: LosingRedis) -> None:
    async with open_house(shards=2) as house:
        phone = random_phone()
        session_id = await house.link("u", phone)
        server.keep()
        await house.http.post(f"/api/whatsapp/sessions/{session_id}/restart")
        await house.event(session_id, "session_restored")
        await house.status(session_id, "connected")
        chromium = {process.pid for process in house.browsers()}
        server.fall_back()

        async def regained() -> bool:
            return "session record written again" in house.logs()

        await until("the holder wrote its record again", regained)
        await listed(house, session_id)
        await asyncio.wait_for(house.phone("inbound", phone=phone, **{"from": "5511888880001@c.us"}, body="on"), 10)
        assert (await house.event(session_id, "message"))["data"]["body"] == "on"
        assert {process.pid for process in house.browsers()} == chromium
        assert house.receiver.kinds(session_id).count("conflict") == 0


async def test_what_a_run_wrote_is_written_again_when_redis_fell_back_to_an_earlier_moment_of_it(
    open_house: Open, server: LosingRedis
) -> None:
    async with open_house() as house:
        phone = random_phone()
        session_id = await house.create("u")
        await house.status(session_id, "qr")
        server.keep()  # of the same run and token, before the scan
        await house.scan(session_id, phone)
        await house.status(session_id, "connected")
        await house.archived(session_id)
        server.fall_back()
        shown = await listed(house, session_id)
        assert shown["phone"] == phone
        await house.stop("shard_00", signal.SIGKILL)
        house.wipe_profiles()
        await house.start("shard_00")
        await house.event(session_id, "session_restored")
        await house.status(session_id, "connected")
        assert (await house.device(phone))["stale_logins"] == 0
