"""A message that the page has confirmed to WhatsApp reaches Laravel, whatever happens before Redis has it."""

import asyncio
import signal

import httpx
import pytest
import redis

from tests.faults.chatter import Chatter
from tests.integration.house.conftest import Open
from tests.integration.house.house import House, random_phone, until

pytestmark = pytest.mark.timeout(180)

BOB = "5511888880001@c.us"


async def bodies(house: House, session_id: str) -> list[str]:
    return [told["data"]["body"] for told in house.receiver.of(session_id, "message")]


@pytest.mark.parametrize(("pause_ms", "killed"), [(4000, True), (9000, False)], ids=["killed", "fenced"])
async def test_messages_that_come_while_redis_is_away_are_told_once(
    open_house: Open, redis_url: str, pause_ms: int, killed: bool
) -> None:
    async with open_house() as house:
        phone = random_phone()
        session_id = await house.link("u", phone)
        await house.phone("inbound", phone=phone, **{"from": BOB}, body="before")
        await house.event(session_id, "message")
        redis.Redis.from_url(redis_url).execute_command("CLIENT", "PAUSE", str(pause_ms), "ALL")
        for number in range(3):
            await house.phone("inbound", phone=phone, **{"from": BOB}, body=f"m{number}")

        async def confirmed() -> bool:
            return not (await house.device(phone))["queue"]

        await until("the page has confirmed them: they never come again", confirmed)
        if killed:
            await asyncio.sleep(0.3)
            await house.stop("shard_00", signal.SIGKILL)
            await asyncio.sleep(pause_ms / 1000)
            await house.start("shard_00")
        else:
            await until("the session is fenced", lambda: _logged(house, "session fenced"), timeout_s=30)

        async def back() -> bool:
            try:
                shown = await house.session(session_id)
            except httpx.HTTPStatusError:
                return False  # Redis is still away
            return shown["status"] == "connected" and (await house.device(phone))["logins"] > 1

        await until("the session runs again", back, timeout_s=90)
        await house.phone("inbound", phone=phone, **{"from": BOB}, body="after")

        async def all_told() -> bool:
            return len(await bodies(house, session_id)) >= 5

        await until("everything is told", all_told)
        await asyncio.sleep(1)  # time for a second telling
        assert sorted(await bodies(house, session_id)) == ["after", "before", "m0", "m1", "m2"]
        told = [body for body in await bodies(house, session_id) if body.startswith("m")]
        assert told == ["m0", "m1", "m2"]
        journals = house.home / "run" / "untold"
        assert [path.read_bytes() for path in journals.iterdir()] in ([], [b""])


async def _logged(house: House, text: str) -> bool:
    return text in house.logs()


async def test_messages_that_waited_are_told_once_although_the_shard_is_killed_while_the_session_logs_in(
    open_house: Open,
) -> None:
    async with open_house() as house:
        phone = random_phone()
        session_id = await house.link("u", phone)
        await house.stop("shard_00")
        chatter = Chatter(house, session_id, phone)
        for number in range(20):
            await chatter.write(f"m{number:02}")
        await house.phone("config", sync_ms=0)
        await house.start("shard_00")

        async def confirmed() -> bool:
            logged_in = [conn for conn in house.standin.wire.connections if conn.authed]
            return bool(logged_in) and not logged_in[0].unconfirmed

        await until("the page has confirmed everything", confirmed)
        await asyncio.sleep(0.1)  # what was confirmed a moment ago is on its way to the disk
        await house.stop("shard_00", signal.SIGKILL)
        await house.start("shard_00")
        await house.status(session_id, "connected")
        await chatter.all_told_once()
