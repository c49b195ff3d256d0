"""A whole house on Redis Cluster and on Redis Sentinel, and what happens when a master dies under it."""

import asyncio
import contextlib
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.integration.house.house import House, random_phone, until
from tests.servers.redis_cluster import redis_cluster
from tests.servers.redis_sentinel import redis_sentinel
from tests.servers.s3 import S3Server

pytestmark = pytest.mark.timeout(240)

_PATIENT = {"SHARD_GRACE_MS": "10000", "LEASE_TTL_MS": "15000"}
"""The product's own defaults: that nobody is ended within them is what a fail-over is tested for."""


@contextlib.asynccontextmanager
async def house_on(url: str, s3: S3Server, **settings: str) -> AsyncIterator[House]:
    home = Path(tempfile.mkdtemp(prefix="h"))
    try:
        async with House(home, url, s3.environment(), shards=2, **settings) as house:
            yield house
    finally:
        shutil.rmtree(home, ignore_errors=True)


async def sends(house: House, session_id: str, text: str) -> None:
    """Have a text sent once, and ask for it again only while it certainly did not go out and will not."""
    body = {"session_id": session_id, "to": "5511888880001", "message": text}

    async def went_out() -> bool:
        return text in await house.sent()

    async def sent() -> bool:
        answer = await house.http.post("/api/whatsapp/send", json=body)
        if answer.status_code == 200:
            return True
        assert answer.json()["outcome"] in {"not_sent", "unknown"}, answer.text
        if answer.json()["outcome"] == "not_sent":
            return False
        # The shard may still have it: no command is begun once it is older than COMMAND_TIMEOUT_MS.
        with contextlib.suppress(AssertionError):
            await until(f"{text} went out after all", went_out, timeout_s=35)
        return await went_out()

    await until(f"{text} is sent", sent, timeout_s=60)
    assert (await house.sent()).count(text) == 1


async def sends_with_a_key(house: House, session_id: str, text: str) -> None:
    """Have a text sent with the same key again and again, as a careful caller does, until it is said to be sent."""
    body = {"session_id": session_id, "to": "5511888880001", "message": text}

    async def sent() -> bool:
        answer = await house.http.post("/api/whatsapp/send", json=body, headers={"Idempotency-Key": text})
        assert answer.json()["outcome"] in {"sent", "not_sent", "unknown"}, answer.text
        return answer.status_code == 200

    await until(f"{text} is sent", sent, timeout_s=90)


async def test_the_main_job_on_a_cluster(s3: S3Server) -> None:
    with redis_cluster() as cluster:
        async with house_on(cluster.url, s3) as house:
            phones = [random_phone() for _ in range(3)]
            ids = [await house.link(f"u{number}", phone) for number, phone in enumerate(phones)]
            for session_id in ids:
                await sends(house, session_id, f"to {session_id}")
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
            assert (await house.http.delete(f"/api/whatsapp/sessions/{ids[0]}")).status_code == 204

            async def gone() -> bool:
                return (await house.http.get(f"/api/whatsapp/sessions/{ids[0]}")).status_code == 404

            await until("deleted", gone)


@pytest.mark.parametrize("kind", ["cluster", "sentinel"])
async def test_sessions_go_on_when_a_master_dies(s3: S3Server, kind: str) -> None:
    with contextlib.ExitStack() as servers:
        if kind == "cluster":
            cluster = servers.enter_context(redis_cluster(replicas=True))
            url, doomed, kill = cluster.url, cluster.masters[0], cluster.kill
        else:
            watched = servers.enter_context(redis_sentinel())
            url, doomed, kill = watched.url, watched.master(), watched.kill
        async with house_on(url, s3, **_PATIENT) as house:
            phones = [random_phone() for _ in range(2)]
            ids = [await house.link(f"u{number}", phone) for number, phone in enumerate(phones)]
            chromium = {process.pid for process in house.browsers()}
            texts = [(session_id, f"{number}-while-{session_id}") for session_id in ids for number in range(4)]
            under_way = [asyncio.create_task(sends_with_a_key(house, session_id, text)) for session_id, text in texts]
            await asyncio.sleep(0.5)
            kill(doomed)

            async def back() -> bool:
                answers = [await house.http.get(f"/api/whatsapp/sessions/{session_id}") for session_id in ids]
                return all(answer.status_code == 200 for answer in answers)

            await until("Redis answers again", back)
            for session_id in ids:
                await sends(house, session_id, f"after {session_id}")
            await asyncio.gather(*under_way)
            assert sorted(text for text in await house.sent() if "-while-" in text) == sorted(text for _, text in texts)
            for session_id in ids:
                assert house.receiver.kinds(session_id).count("conflict") == 0
                assert house.receiver.kinds(session_id).count("qr") == 1
            # A fail-over within the leases' life ends nobody.
            assert {process.pid for process in house.browsers()} == chromium
