"""What waited at WhatsApp is confirmed by the page while it logs in, long before wa-js listens: it is told at once."""

import time

import pytest

from shards.page.events import PageEvent, PageEventKind
from tests.integration.browser.rig import eventually
from tests.integration.page.phone import BOB, PHONE, World

BACKLOG = 40


def _is_injection(event: PageEvent) -> bool:
    return event.kind is PageEventKind.STATE_HINT and event.data["source"] == "loader.injected"


@pytest.mark.parametrize("after", [1, BACKLOG])
async def test_a_page_that_dies_while_it_logs_in_has_told_what_it_had_confirmed(world: World, after: int) -> None:
    async with world.paired():
        pass
    for number in range(BACKLOG):
        await world.tell("inbound", phone=PHONE, **{"from": f"{BOB}@c.us"}, body=f"m{number}")
    await world.tell("config", sync_ms=0)
    async with world.page() as opened:

        async def confirmed() -> int:
            (connection,) = [conn for conn in world.standin.wire.connections if conn.authed] or [None]
            return BACKLOG - len(connection.unconfirmed) if connection is not None else 0

        await eventually(confirmed, lambda count: count >= after)
        opened.process.kill()
        await opened.process.exited
        await opened.connection.close()
    told = [event.data["body"] for event in opened.told if event.kind is PageEventKind.MESSAGE]
    left = (await world.ask("state"))["devices"][0]["queue"]
    assert len(told) >= BACKLOG - left
    assert told == [f"m{number}" for number in range(len(told))]
    kinds = [event.kind for event in opened.told if event.kind is PageEventKind.MESSAGE or _is_injection(event)]
    assert kinds[0] is PageEventKind.MESSAGE, "wa-js listened already"


async def test_the_page_confirms_nothing_before_a_busy_shard_has_taken_it(world: World) -> None:
    async with world.paired():
        pass
    for number in range(BACKLOG):
        await world.tell("inbound", phone=PHONE, **{"from": f"{BOB}@c.us"}, body=f"m{number}")
    async with world.page(busy=lambda: time.sleep(0.03)) as opened:
        await opened.event(PageEventKind.MESSAGE, lambda data: bool(data["body"] == "m5"))
        opened.process.kill()
        await opened.process.exited
        taken = len([event for event in opened.told if event.kind is PageEventKind.MESSAGE])

        async def left() -> int:
            return int((await world.ask("state"))["devices"][0]["queue"])

        assert await eventually(left, lambda count: count > 0) >= BACKLOG - taken
        assert taken < BACKLOG
