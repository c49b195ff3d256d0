"""A page that writes hard, and Chromium on a profile of one's choice. For tests and the bench."""

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
from aiohttp import web

from daemon.embedded.parent import die_with_parent

CHROMIUM = "/usr/lib/chromium/chromium-headless-shell"
_PAGE = Path(__file__).with_name("page.html")
_LIMIT_S = 30.0
_LEAN = ("--in-process-gpu", "--enable-features=NetworkServiceInProcess2")

Open = Callable[..., AbstractAsyncContextManager["OpenPage"]]


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
        """Let Chromium exit by itself, and wait until its process has; open it with `lean=False` for that."""
        with contextlib.suppress(pyppeteer.errors.NetworkError):
            await asyncio.wait_for(self._page.browser.close(), _LIMIT_S)
        assert await asyncio.wait_for(self._process.wait(), _LIMIT_S) == 0


@contextlib.asynccontextmanager
async def served_page() -> AsyncIterator[str]:
    """Serve the page; give its address."""

    async def page(_: web.Request) -> web.FileResponse:
        return web.FileResponse(_PAGE)

    app = web.Application()
    app.router.add_get("/", page)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/"
    finally:
        await runner.cleanup()


def opener(origin: str) -> Open:
    """Return what opens the page at `origin` in a Chromium of its own on a profile; leaving it kills that Chromium.

    With `lean`, as in production, few of its ends by itself go wrong (docs/decisions/0011); without it none does.
    """

    @contextlib.asynccontextmanager
    async def opened(profile_dir: Path, *, lean: bool = True) -> AsyncIterator[OpenPage]:
        process = await asyncio.create_subprocess_exec(
            CHROMIUM, *(_LEAN if lean else ()), *_flags(profile_dir), "about:blank",
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


def _flags(profile_dir: Path) -> tuple[str, ...]:
    sandbox = () if os.geteuid() else ("--no-sandbox", "--no-zygote")
    return (
        *sandbox, "--remote-debugging-port=0", "--disable-background-networking", "--disable-breakpad",
        "--password-store=basic", f"--user-data-dir={profile_dir}",
    )  # fmt: skip


async def _endpoint(process: asyncio.subprocess.Process) -> str:
    assert process.stderr is not None
    async for line in process.stderr:
        if b"DevTools listening on " in line:
            return line.decode().rpartition(" ")[2].strip()
    raise RuntimeError("Chromium ended before it listened")
