"""WhatsApp's modules that come late: wa-js takes a pause of 750 ms for their end, and would then know no session."""

import asyncio

import pytest

from daemon.core.errors import BrowserError
from shards.page.driver import PageTimeouts
from shards.page.state import PageState
from tests.integration.browser.rig import eventually
from tests.integration.page.phone import World

STALL_MS = 2500
IMPATIENT = PageTimeouts(load_s=20, call_s=5, modules_s=0.2)


@pytest.mark.parametrize("deferred", [False, True])
async def test_wa_js_waits_for_modules_that_are_held_back(world: World, deferred: bool) -> None:
    await world.tell("config", stall_ms=STALL_MS, deferred=deferred)
    async with world.page() as opened:
        shown = await opened.state(PageState.QR)
        assert shown.missing_modules == 0
        assert opened.page.reloads == 0


async def test_a_page_whose_modules_came_too_late_is_loaded_again(world: World) -> None:
    await world.tell("config", stall_ms=STALL_MS, deferred=True)
    async with world.page(timeouts=IMPATIENT) as opened:
        await world.tell("config", stall_ms=0)
        await opened.state(PageState.QR)
        assert opened.page.reloads == 1


async def test_modules_that_never_come_in_time_are_an_error_that_says_so(world: World) -> None:
    await world.tell("config", stall_ms=STALL_MS, deferred=True)
    async with world.page(timeouts=IMPATIENT) as opened:
        with pytest.raises(BrowserError, match="modules") as failed:
            await eventually(opened.page.snapshot, lambda taken: taken.state is PageState.QR, 30)
        assert "wa-js" in failed.value.hint
        assert opened.page.reloads == 3
    # The answers that are still held back are let go before the stand-in ends.
    await world.tell("config", stall_ms=0)
    await asyncio.sleep(0.1)
