"""A session is handed over while its last backup cannot be stored: the next shard waits for it."""

import shutil
import signal
from pathlib import Path

import pytest

from tests.integration.house.conftest import Open
from tests.integration.house.house import FULL_CHROMIUM, House, random_phone, until
from tests.servers.faulty_s3 import Fault, FaultyS3
from tests.servers.s3 import S3Server

pytestmark = pytest.mark.timeout(240)
IN_R2_ONLY = {
    "SESSION_HOT_COPY_MAX_BYTES": "10000",
    "SESSION_BACKUP_INTERVAL_MS": "3600000",
    "CHROMIUM_PATH": FULL_CHROMIUM,
}


async def linked(house: House, phone: str) -> str:
    """Link a session whose copies are too large for Redis."""
    session_id = await house.create("u")
    await house.scan(session_id, phone)
    await house.status(session_id, "connected")

    async def stored() -> bool:
        return (await house.session(session_id))["archive"] is not None

    await until("a first archive", stored)
    return session_id


async def test_the_next_shard_waits_for_a_state_that_is_on_a_living_shards_disk_only(
    open_house: Open, s3: S3Server
) -> None:
    async with FaultyS3(s3) as store, open_house(shards=2, R2_ENDPOINT=store.url, **IN_R2_ONLY) as house:
        phone = random_phone()
        session_id = await linked(house, phone)
        first = (await house.session(session_id))["shard"]
        other = next(name for name in house.shard_names if name != first)
        await store.turn(Fault.REFUSE)
        await house.http.post(f"/api/whatsapp/shards/{first}/drain")

        async def waits() -> bool:
            return "session waits: its last state is on another shard" in (house.home / f"{other}.log").read_text()

        await until("the next shard waits", waits, timeout_s=90)
        assert not house.browsers()
        await store.turn(Fault.NONE)
        await until_connected(house, session_id, other)
        assert (await house.device(phone))["stale_logins"] == 0
        assert house.receiver.kinds(session_id).count("qr") == 1


async def test_a_dead_shard_is_not_waited_for(open_house: Open, s3: S3Server) -> None:
    async with FaultyS3(s3) as store, open_house(shards=2, R2_ENDPOINT=store.url, **IN_R2_ONLY) as house:
        session_id = await linked(house, random_phone())
        first = (await house.session(session_id))["shard"]
        other = next(name for name in house.shard_names if name != first)
        await store.turn(Fault.REFUSE)
        await house.http.post(f"/api/whatsapp/shards/{first}/drain")

        async def waits() -> bool:
            return "session waits: its last state is on another shard" in (house.home / f"{other}.log").read_text()

        await until("the next shard waits", waits, timeout_s=90)
        await house.stop(first, signal.SIGKILL)
        await store.turn(Fault.NONE)
        await until_connected(house, session_id, other)
        assert house.receiver.kinds(session_id).count("qr") == 1


@pytest.mark.parametrize("lost", ["blazz-left-clean.json", "."])
async def test_a_living_shard_that_has_nothing_whole_any_more_is_not_waited_for(
    open_house: Open, s3: S3Server, lost: str
) -> None:
    """As after a kill of Chromium in its last second, or when the profile went with a disk."""
    async with FaultyS3(s3) as store, open_house(shards=2, R2_ENDPOINT=store.url, **IN_R2_ONLY) as house:
        session_id = await linked(house, random_phone())
        first = (await house.session(session_id))["shard"]
        other = next(name for name in house.shard_names if name != first)
        await store.turn(Fault.REFUSE)
        await house.http.post(f"/api/whatsapp/shards/{first}/drain")

        async def waits() -> bool:
            return "session waits: its last state is on another shard" in (house.home / f"{other}.log").read_text()

        await until("the next shard waits", waits, timeout_s=90)
        [mark] = house.home.rglob("blazz-left-clean.json")
        gone = mark.parent / lost
        (shutil.rmtree if gone.is_dir() else Path.unlink)(gone)
        await store.turn(Fault.NONE)
        await until_connected(house, session_id, other)
        assert house.receiver.kinds(session_id).count("qr") == 1


async def until_connected(house: House, session_id: str, shard: str) -> None:
    async def connected() -> bool:
        shown = await house.session(session_id)
        return (shown["status"], shown["runs_on"]) == ("connected", shard)

    await until(f"{session_id} is connected on {shard}", connected, timeout_s=90)
