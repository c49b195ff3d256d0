"""People go on writing while a session ends in order: each message is told once, by this run or by the next one."""

import pytest

from tests.faults.chatter import Chatter
from tests.integration.house.conftest import Open
from tests.integration.house.house import House, random_phone, until

pytestmark = pytest.mark.timeout(240)


async def _restart_shard(house: House, session_id: str) -> None:
    assert await house.stop("shard_00") == 0
    await house.start("shard_00")


async def _restart(house: House, session_id: str) -> None:
    await house.http.post(f"/api/whatsapp/sessions/{session_id}/restart")


async def _stop_and_start(house: House, session_id: str) -> None:
    await house.http.post(f"/api/whatsapp/sessions/{session_id}/stop")
    await house.status(session_id, "stopped")
    await house.http.post(f"/api/whatsapp/sessions/{session_id}/start")


async def test_messages_that_come_while_a_session_ends_in_order_are_told_once(open_house: Open) -> None:
    async with open_house() as house:
        phone = random_phone()
        session_id = await house.link("u", phone)
        chatter = Chatter(house, session_id, phone)
        for end in (_restart_shard, _restart, _stop_and_start):
            logins = (await house.device(phone))["logins"]
            async with chatter.going_on():
                await end(house, session_id)

                async def again(before: int = logins) -> bool:
                    return (await house.device(phone))["logins"] > before

                await until("the session is logged in again", again)
            await house.status(session_id, "connected")
        await chatter.all_told_once()
        device = await house.device(phone)
        assert (device["stale_logins"], device["failed_logins"]) == (0, 0)
