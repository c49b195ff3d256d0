"""Redis goes away under a running session: never two holders, and back without a scan."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.integration.house.conftest import Open
from tests.integration.house.house import random_phone, until
from tests.servers.redis import redis_server


@pytest.fixture
def redis_url() -> Iterator[str]:
    """A Redis of this test's own, because it is stopped."""
    with redis_server() as url:
        yield url


def redis_process(url: str) -> psutil.Process:
    folder = str(Path(url.removeprefix("unix://").partition("?")[0]).parent)
    for process in psutil.process_iter(["name", "cmdline"]):
        if process.info["name"] == "redis-server" and folder in " ".join(process.info["cmdline"] or []):
            return process
    raise AssertionError(f"no redis-server of {folder}")


async def test_past_its_deadline_a_session_ends_itself_and_comes_back_with_redis(
    open_house: Open,
    redis_url: str,
) -> None:
    async with open_house(REDIS_TIMEOUT_MS="500", LEASE_TTL_MS="4000", LEASE_RENEW_INTERVAL_MS="500") as house:
        phone = random_phone()
        session_id = await house.link("u", phone)
        server = redis_process(redis_url).pid
        os.kill(server, signal.SIGSTOP)
        try:

            async def fenced() -> bool:
                return not house.browsers()

            await until("Chromium was killed at the lease's deadline", fenced, timeout_s=8)
        finally:
            os.kill(server, signal.SIGCONT)
        await house.event(session_id, "session_restored")
        await house.status(session_id, "connected")
        assert (await house.device(phone))["stale_logins"] == 0
        assert house.receiver.kinds(session_id).count("qr") == 1


async def test_a_short_pause_of_redis_ends_nothing(open_house: Open, redis_url: str) -> None:
    async with open_house(REDIS_TIMEOUT_MS="500", LEASE_TTL_MS="8000", LEASE_RENEW_INTERVAL_MS="500") as house:
        phone = random_phone()
        session_id = await house.link("u", phone)
        before = {process.pid for process in house.browsers()}
        server = redis_process(redis_url).pid
        os.kill(server, signal.SIGSTOP)
        try:

            async def noticed() -> bool:
                return "leases not renewed" in house.logs()

            await until("the shard noticed", noticed)
        finally:
            os.kill(server, signal.SIGCONT)
        await house.phone("inbound", phone=phone, **{"from": "5511888880001@c.us"}, body="after")
        assert (await house.event(session_id, "message"))["data"]["body"] == "after"
        assert {process.pid for process in house.browsers()} == before


async def test_a_stopped_shard_loses_its_session_and_its_chromium_and_changes_nothing_when_it_goes_on(
    open_house: Open,
) -> None:
    async with open_house(shards=2) as house:
        phone = random_phone()
        session_id = await house.link("u", phone)
        first = (await house.session(session_id))["shard"]
        house.processes[first].send_signal(signal.SIGSTOP)
        await house.event(session_id, "session_restored")
        after = await house.status(session_id, "connected")
        # Its guard has ended it, although the shard itself does not run.
        root = str(house.home / "profiles" / after["shard"])
        assert all(root in " ".join(process.cmdline()) for process in house.browsers())
        await house.archived_anew(session_id)
        await house.http.post(f"/api/whatsapp/sessions/{session_id}/backup")
        stored = (await house.session(session_id))["archive"]
        house.processes[first].send_signal(signal.SIGCONT)

        async def noticed() -> bool:
            return "session fenced" in (house.home / f"{first}.log").read_text()

        await until("the stopped shard has noticed", noticed)
        await house.phone("inbound", phone=phone, **{"from": "5511888880001@c.us"}, body="after")
        assert (await house.event(session_id, "message"))["data"]["body"] == "after"
        later = await house.session(session_id)
        for field in ("shard", "runs_on", "status", "token"):
            assert later[field] == after[field]
        assert (later["archive"]["token"], later["archive"]["generation"]) == (stored["token"], stored["generation"])
        assert house.receiver.kinds(session_id).count("conflict") == 0
        assert (await house.device(phone))["stale_logins"] == 0
        told = [event["id"] for event in house.receiver.events]
        assert len(told) == len(set(told))
