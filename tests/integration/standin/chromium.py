"""A Chromium of the test's own: started directly, spoken to through pyppeteer, gone with its process group."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pyppeteer
from pyppeteer.browser import Browser
from pyppeteer.errors import PyppeteerError
from pyppeteer.page import Page

from tests.standin import StandIn

EXECUTABLE = os.environ.get("CHROMIUM_PATH", "/usr/lib/chromium/chromium-headless-shell")
WAJS_BUNDLE = Path(__file__).parents[3] / "shards/page/vendor/wppconnect-wa.js"
START_TIMEOUT_S = 30.0
EXIT_TIMEOUT_S = 15.0
FLAGS = (
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
    "--password-store=basic",
    "--remote-debugging-port=0",
)
# Before the bundle: no analytics, no link previews from third parties.
WAJS_CONFIG = "window.WPPConfig = {disableGoogleAnalytics: true, linkPreviewApiServers: []};"
# Keeps what wa-js reports, with models turned into plain values inside the page.
RECORDER = """
window.__events = [];
(function attach() {
  if (!window.WPP || !WPP.isInjected) return setTimeout(attach, 20);
  const plain = (key, value) => (value && value._serialized && key !== '' ? value._serialized : value);
  const names = ['conn.auth_code_change', 'conn.authenticated', 'conn.logout', 'conn.logout_reason',
    'conn.main_loaded', 'conn.require_auth', 'chat.new_message', 'chat.msg_ack_change'];
  for (const name of names) WPP.on(name, (value) => {
    if (name === 'chat.new_message') value = {body: value.body, from: String(value.from), fromMe: value.id.fromMe};
    window.__events.push({name, value: JSON.parse(JSON.stringify(value ?? null, plain))});
  });
})();
"""


async def until(look: Callable[[], Awaitable[Any]], timeout_s: float = 30.0) -> Any:
    """Poll until `look` returns something true, and return that."""
    last: Any = None
    try:
        async with asyncio.timeout(timeout_s):
            while not (last := await look()):
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise AssertionError(f"still not so after {timeout_s} s; last seen: {last!r}") from None
    return last


class Chromium:
    """One Chromium on one profile, with one page on the stand-in that has wa-js injected."""

    def __init__(self, profile: Path, process: asyncio.subprocess.Process, browser: Browser, page: Page) -> None:
        self.profile = profile
        self.process = process
        self.browser = browser
        self.page = page

    @classmethod
    async def start(cls, profile: Path, standin: StandIn) -> Chromium:
        """Start Chromium, inject wa-js before the page's scripts, load the page."""
        profile.mkdir(parents=True, exist_ok=True)
        port_file = profile / "DevToolsActivePort"
        port_file.unlink(missing_ok=True)
        sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
        process = await asyncio.create_subprocess_exec(
            EXECUTABLE,
            *FLAGS,
            *sandbox,
            f"--user-data-dir={profile}",
            "about:blank",
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            async with asyncio.timeout(START_TIMEOUT_S):
                return await cls._attach(profile, process, port_file, standin)
        except BaseException:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
            raise

    @classmethod
    async def _attach(
        cls, profile: Path, process: asyncio.subprocess.Process, port_file: Path, standin: StandIn
    ) -> Chromium:
        async def endpoint() -> list[str] | None:
            lines = port_file.read_text().split() if port_file.exists() else []
            return lines if len(lines) == 2 else None

        port, path = await until(endpoint)
        browser = await pyppeteer.connect(browserWSEndpoint=f"ws://127.0.0.1:{port}{path}", defaultViewport=None)
        page = (await browser.pages())[0]
        for source in (WAJS_CONFIG, WAJS_BUNDLE.read_text(), RECORDER):
            await page._client.send("Page.addScriptToEvaluateOnNewDocument", {"source": source})
        await page.goto(standin.url, {"waitUntil": "load"})
        return cls(profile, process, browser, page)

    async def wpp(self, expression: str) -> Any:
        """Evaluate an expression in the page; a rejected promise raises here."""
        return await asyncio.wait_for(self.page.evaluate(f"async () => {expression}"), 30)

    async def wpp_until(self, expression: str, timeout_s: float = 30.0) -> Any:
        """Evaluate until the answer is true. A page that is just navigating counts as "not yet"."""

        async def look() -> Any:
            try:
                return await self.wpp(expression)
            except PyppeteerError as error:
                return None if "navigation" in str(error) or "Cannot find context" in str(error) else _missing(error)

        return await until(look, timeout_s)

    async def usable(self) -> None:
        """Wait until the account is logged in and the page ready to send."""
        await self.wpp_until(
            "window.WPP?.isFullReady && WPP.conn.isAuthenticated() && WPP.conn.isMainLoaded()"
            " && WPP.conn.getStreamData().mode === 'MAIN'"
        )

    async def qr(self, unlike: str = "") -> str:
        """The text of the QR code on the screen, once there is one other than `unlike`."""
        return await self.wpp_until(
            "window.WPP?.isReady && !WPP.conn.isAuthenticated() && WPP.conn.getAuthCode()"
            f".then((code) => code && code.fullCode !== {unlike!r} && code.fullCode)"
        )

    async def events(self, name: str) -> list[Any]:
        """What wa-js has reported under this name since the page was loaded."""
        return await self.wpp(f"window.__events.filter((e) => e.name === {name!r}).map((e) => e.value)")

    async def stop(self) -> None:
        """Close and wait for the process to be gone: only then are its files complete."""
        with contextlib.suppress(Exception):
            await asyncio.wait_for(self.browser.close(), 5)
        try:
            await asyncio.wait_for(self.process.wait(), EXIT_TIMEOUT_S)
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            await self.process.wait()


def _missing(error: PyppeteerError) -> None:
    """wa-js is not there yet while its bundle is being read; anything else is a failure of the test."""
    if "WPP" not in str(error):
        raise error
