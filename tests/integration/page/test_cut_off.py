"""A page that is cut off from WhatsApp before its end takes and confirms nothing more, and stays logged in."""

import asyncio

from shards.page.events import PageEventKind
from shards.page.state import PageState
from tests.integration.browser.rig import eventually
from tests.integration.page.phone import BOB, PHONE, World


async def test_what_comes_after_the_cut_waits_at_whatsapp_for_the_next_login(world: World) -> None:
    async with world.paired() as opened:
        await world.tell("inbound", phone=PHONE, **{"from": f"{BOB}@c.us"}, body="before")
        await opened.event(PageEventKind.MESSAGE)
        await opened.page.cut_off()

        async def online() -> bool:
            return bool((await world.ask("state"))["devices"][0]["online"])

        await eventually(online, lambda is_online: not is_online)
        await world.tell("inbound", phone=PHONE, **{"from": f"{BOB}@c.us"}, body="after")
        await asyncio.sleep(1)  # the page tries to come back several times
        assert not await online()
        offline = await opened.state(PageState.OFFLINE)
        assert offline.phone == PHONE
        assert [told.data["body"] for told in opened.told if told.kind is PageEventKind.MESSAGE] == ["before"]
    async with world.page() as opened:
        assert (await opened.event(PageEventKind.MESSAGE))["body"] == "after"
        device = (await world.ask("state"))["devices"][0]
        assert (device["stale_logins"], device["queue"]) == (0, 0)
