"""A page that writes hard, and Chromium on a profile of the test's choice."""

import asyncio
import contextlib
import json
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pyppeteer
import pytest
from aiohttp import web

from daemon.embedded.parent import die_with_parent

CHROMIUM = "/usr/lib/chromium/chromium-headless-shell"
_PAGE = Path(__file__).with_name("page.html")
_LIMIT_S = 20.0

Open = Callable[[Path], AbstractAsyncContextManager["OpenPage"]]


class OpenPage:
    """The page in a running Chromium."""

    def __init__(self, process: asyncio.subprocess.Process, page: Any) -> None:
        self._process = process
        self._page = page

    async def run(self, script: str) -> Any:
        """Evaluate an expression in the page, wait for it, and return its value."""
        text = await asyncio.wait_for(
            self._page.evaluate(f"(async () => JSON.stringify(await ({script}) ?? null))()", force_expr=True), _LIMIT_S
        )
        return json.loads(text)

    async def leave(self) -> None:
        """Let Chromium exit by itself, and wait until its process has."""
        self._process.send_signal(signal.SIGTERM)
        await asyncio.wait_for(self._process.wait(), _LIMIT_S)


@pytest.fixture
async def origin() -> AsyncIterator[str]:
    """Address of the page; the same for every browser of one test."""

    async def page(_: web.Request) -> web.FileResponse:
        return web.FileResponse(_PAGE)

    app = web.Application()
    app.router.add_get("/", page)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}/"
    await runner.cleanup()


@pytest.fixture
def open_page(origin: str) -> Open:
    """Open the page in a Chromium of its own on a profile directory."""

    @contextlib.asynccontextmanager
    async def opened(profile_dir: Path) -> AsyncIterator[OpenPage]:
        process = await asyncio.create_subprocess_exec(
            CHROMIUM, "--no-sandbox", "--in-process-gpu", "--no-zygote", "--remote-debugging-port=0",
            "--password-store=basic", f"--user-data-dir={profile_dir}", "about:blank",
            stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE, start_new_session=True,
            preexec_fn=die_with_parent,
        )  # fmt: skip
        try:
            endpoint = await asyncio.wait_for(_endpoint(process), _LIMIT_S)
            browser = await asyncio.wait_for(pyppeteer.connect(browserWSEndpoint=endpoint), _LIMIT_S)
            page = (await browser.pages())[0]
            await asyncio.wait_for(page.goto(origin), _LIMIT_S)
            yield OpenPage(process, page)
            with contextlib.suppress(Exception):
                await browser.disconnect()
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()

    return opened


async def _endpoint(process: asyncio.subprocess.Process) -> str:
    assert process.stderr is not None
    async for line in process.stderr:
        if b"DevTools listening on " in line:
            return line.decode().rpartition(" ")[2].strip()
    raise RuntimeError("Chromium ended before it listened")
