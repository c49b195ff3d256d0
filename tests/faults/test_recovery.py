"""Everything is lost but the bucket: what should run comes back without a scan, what was ended does not."""

import shutil
import signal
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest

from tests.integration.house.house import House, random_phone, until
from tests.servers.redis_losing import LosingRedis, losing_redis
from tests.servers.s3 import swift_server


@pytest.fixture
def server() -> Iterator[LosingRedis]:
    with losing_redis() as server:
        yield server


@pytest.fixture
async def house(server: LosingRedis) -> AsyncIterator[House]:
    """A house whose bucket is its own, as recovery begins whatever is in it."""
    home = Path(tempfile.mkdtemp(prefix="h"))
    with swift_server() as s3:
        async with House(home, server.url, s3.environment(), shards=2, RECOVER_SESSIONS="on") as house:
            yield house
    shutil.rmtree(home, ignore_errors=True)


async def lose_all_but_the_bucket(house: House, server: LosingRedis) -> None:
    for name in ("coordinator", *house.shard_names):
        await house.stop(name, signal.SIGKILL)
    server.client.flushall()
    house.wipe_profiles()
    for name in ("coordinator", *house.shard_names):
        await house.start(name)


async def known(house: House, session_id: str) -> dict[str, object] | None:
    try:
        answer = await house.http.get(f"/api/whatsapp/sessions/{session_id}")
    except httpx.TransportError:
        return None
    return dict(answer.json()) if answer.status_code == 200 else None


async def test_sessions_come_back_from_the_bucket_alone_as_they_were_wanted(house: House, server: LosingRedis) -> None:
    phones = {name: random_phone() for name in ("runs", "stopped", "deleted", "logged-out")}
    ids = {name: await house.link(name, phone) for name, phone in phones.items()}
    for name, action in (("stopped", "stop"), ("logged-out", "logout")):
        answer = await house.http.post(f"/api/whatsapp/sessions/{ids[name]}/{action}")
        assert answer.status_code in {200, 202}, answer.text
    assert (await house.http.delete(f"/api/whatsapp/sessions/{ids['deleted']}")).status_code in {200, 202, 204}
    await house.status(ids["stopped"], "stopped")
    await house.status(ids["logged-out"], "disconnected")

    async def marked() -> bool:
        marks = {i: server.client.hget(f"wa:{{{i}}}:record", "marked") for i in (ids["stopped"], ids["logged-out"])}
        gone = not server.client.exists(f"wa:{{{ids['deleted']}}}:record")
        return gone and all(marks.values()) and "deleted" in house.logs()

    await until("the marks are beside the archives", marked)
    await lose_all_but_the_bucket(house, server)

    async def back() -> bool:
        shown = await known(house, ids["runs"])
        return shown is not None and shown["status"] == "connected"

    await until("the session that ran is connected again", back, timeout_s=60)
    restored = await house.event(ids["runs"], "session_restored")
    assert restored["data"]["source"] == "r2"
    assert (await house.device(phones["runs"]))["stale_logins"] == 0
    assert house.receiver.kinds(ids["runs"]).count("qr") == 1
    stopped = await known(house, ids["stopped"])
    assert stopped is not None and (stopped["status"], stopped["desired"]) == ("stopped", "stopped")
    assert await known(house, ids["deleted"]) is None
    assert await known(house, ids["logged-out"]) is None
    for name in ("deleted", "logged-out"):
        assert "session_restored" not in house.receiver.kinds(ids[name])
    # What was stopped is not lost: a start brings it back without a scan.
    await house.http.post(f"/api/whatsapp/sessions/{ids['stopped']}/start")
    await house.status(ids["stopped"], "connected")
    assert house.receiver.kinds(ids["stopped"]).count("qr") == 1
