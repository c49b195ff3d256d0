"""What a page takes of its host: one renderer, and no memory that it does not use."""

import psutil

from shards.browser.connection import BrowserConnection
from shards.browser.process import BrowserProcess
from shards.page.bundle import load_bundle
from shards.page.driver import WhatsAppPage
from shards.page.state import PageState
from tests.integration.browser.rig import eventually, spec_in
from tests.integration.page.phone import World


def renderers(process: BrowserProcess) -> set[int]:
    return {
        child.pid
        for child in psutil.Process(process.pid).children(recursive=True)
        if "--type=renderer" in child.cmdline()
    }


async def test_whatsapps_page_gets_the_renderer_that_the_browser_began_with(world: World) -> None:
    process = await BrowserProcess.start(spec_in(world.directory), timeout_s=30)
    connection = await BrowserConnection.open(process, timeout_s=10)
    try:
        began_with = renderers(process)
        page = await WhatsAppPage.open(connection, url=world.standin.url, bundle=load_bundle(), take=lambda event: None)
        await eventually(page.snapshot, lambda taken: taken.state is PageState.QR)
        assert began_with
        assert renderers(process) == began_with
    finally:
        await process.close(5, connection)
        await connection.close()


async def test_the_page_is_opened_and_not_reloaded(world: World) -> None:
    async with world.page() as opened:
        shown = await opened.connection.cdp(
            "Runtime.evaluate",
            {"expression": "performance.getEntriesByType('navigation')[0].type", "returnByValue": True},
            timeout_s=5,
        )
        assert shown["result"]["value"] == "navigate"


async def test_a_page_gives_back_what_it_does_not_use_any_more(world: World) -> None:
    async with world.paired() as opened:

        async def used_bytes() -> int:
            return int((await opened.connection.cdp("Runtime.getHeapUsage", timeout_s=5))["usedSize"])

        async def run(script: str) -> None:
            await opened.connection.cdp("Runtime.evaluate", {"expression": script}, timeout_s=10)

        await run("var rubbish = []; for (let i = 0; i < 1e6; i++) rubbish.push({ i }); 0")
        before_bytes = await used_bytes()
        await run("rubbish = null")
        opened.page.collect_garbage()
        await eventually(used_bytes, lambda used: used < before_bytes - 10_000_000, 5)
        assert (await opened.state(PageState.CONNECTED)).phone
