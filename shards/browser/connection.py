"""The DevTools connection to one browser and its one page: every call has a time limit, every error is translated.

Nothing outside this room sees an exception of pyppeteer or websockets.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Self, TypeVar

from pyppeteer.connection import CDPSession  # type: ignore[import-untyped]
from pyppeteer.errors import PyppeteerError  # type: ignore[import-untyped]

from daemon.core.clock import mono_s
from daemon.core.errors import BrowserError, PageCallError, PageTimeoutError
from shards.browser.flags import plain_brands, plain_user_agent
from shards.browser.process import BrowserProcess
from shards.browser.wire import SOCKET_ERRORS, Wire, end_session, retrieve

EventListener = Callable[[dict[str, Any]], None]
T = TypeVar("T")

_CLOSE_S = 2.0
_CLOSE_PAGE_S = 3.0
_REST_S = 3.0
_EXIT_AFTER_LOSS_S = 1.0


class BrowserConnection:
    """One websocket to Chromium with a session on its page target.

    It is lost when the socket or the page closes, Chromium exits or the renderer crashes: `lost` is then done with
    the reason, every waiting call fails with BrowserError at once, and so does every later one.
    """

    def __init__(self, wire: Wire, process: BrowserProcess) -> None:
        self._wire = wire
        self._process = process
        self._session: CDPSession | None = None
        self._target_id: str | None = None
        self.lost: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        """Done with a short reason when the page cannot be reached any more."""

    @classmethod
    async def open(cls, process: BrowserProcess, *, timeout_s: float) -> Self:
        """Connect to a started browser and attach to its page.

        Raises:
            BrowserError: it cannot be reached; close the process.
            PageTimeoutError: not in time.
        """
        deadline_mono_s = mono_s() + timeout_s
        connection: Self

        def on_lost(reason: str) -> None:
            connection._lose(reason)

        wire = Wire(process.ws_endpoint, on_lost)
        connection = cls(wire, process)
        process.exited.add_done_callback(connection._on_exit)
        try:
            await connection.call(wire.opened.wait(), timeout_s=timeout_s, what="connect")
            await connection._attach(deadline_mono_s)
        except BaseException:
            await connection.close()
            raise
        return connection

    async def cdp(self, method: str, params: dict[str, Any] | None = None, *, timeout_s: float) -> dict[str, Any]:
        """Send one DevTools command to the page and return its result.

        Raises:
            PageTimeoutError: no answer in time; it may still be carried out.
            PageCallError: Chromium refused it.
            BrowserError: the browser or its page is gone.
        """
        self._check()
        assert self._session is not None
        answer: asyncio.Future[Any] = self._session.send(method, params)
        answer.add_done_callback(retrieve)
        return dict(await self.call(answer, timeout_s=timeout_s, what=method) or {})

    async def browser_cdp(
        self, method: str, params: dict[str, Any] | None = None, *, timeout_s: float
    ) -> dict[str, Any]:
        """Send one DevTools command to the browser itself. Raises as `cdp` does."""
        self._check()
        return dict(await self.call(self._wire.send(method, params), timeout_s=timeout_s, what=method) or {})

    def cdp_nowait(self, method: str, params: dict[str, Any] | None = None) -> None:
        """Send one DevTools command to the page and do not look at the answer."""
        if self._session is not None and not self.lost.done():
            self._session.send(method, params).add_done_callback(retrieve)

    async def call(self, awaitable: Awaitable[T], *, timeout_s: float, what: str) -> T:
        """Wait for something that Chromium has to answer. Raises as `cdp` does.

        pyppeteer's futures are never cancelled, because a late answer to a cancelled one breaks its reader.
        """
        task = asyncio.ensure_future(awaitable)
        try:
            waits: list[asyncio.Future[Any]] = [task, self.lost]
            await asyncio.wait(waits, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            if isinstance(task, asyncio.Task) and not task.done():
                task.cancel()
        if not task.done() or task.cancelled():
            self._check()
            raise PageTimeoutError(f"{what}: no answer in {timeout_s:g} s", pid=self._process.pid)
        return self._outcome(task, what)

    def on(self, event: str, listener: EventListener) -> None:
        """Call `listener` with the parameters of each such event of the page. It must not raise or wait."""
        if self._session is not None:
            self._session.on(event, listener)

    def off(self, event: str, listener: EventListener) -> None:
        """Undo `on`."""
        if self._session is not None:
            self._session.remove_listener(event, listener)

    async def request_browser_close(self, timeout_s: float) -> None:
        """Ask Chromium to write everything and end. Raises as `cdp` does; returns before it has ended.

        Its page is closed first, and what follows from that is waited for: headless-shell that ends with its window
        still drawn dies of SIGTRAP (docs/decisions/0011-lean-flags-and-their-end.md).
        """
        deadline_mono_s = mono_s() + timeout_s

        def left_s(limit_s: float = float("inf")) -> float:
            return min(limit_s, max(0.0, deadline_mono_s - mono_s()))

        if self._target_id is not None and not self._wire.lost:
            self._wire.send("Target.closeTarget", {"targetId": self._target_id})
            await self._wait_or_exit(self._wire.page_closed, left_s(_CLOSE_PAGE_S))
            await self._process.at_rest(left_s(_REST_S))
        if not self._wire.lost:
            await self._wait_or_exit(self._wire.send("Browser.close"), left_s())
            return
        # One that is about to end by itself must not be hurried: headless-shell dies at once of the signal.
        await asyncio.wait({self._process.exited}, timeout=left_s(_EXIT_AFTER_LOSS_S))
        if not self._process.exited.done():
            raise BrowserError("the DevTools connection is closed", pid=self._process.pid)

    async def close(self) -> None:
        """Close the socket; Chromium goes on. One that has ended is first heard out. Safe to call again."""
        self._process.exited.remove_done_callback(self._on_exit)
        if self._process.exited.done():
            await self._wire.read_out(_CLOSE_S)
        await self._wire.shut(_CLOSE_S)

    async def _wait_or_exit(self, awaited: "asyncio.Future[Any]", timeout_s: float) -> None:
        """Wait for something of the browser's end, which its exit may overtake."""
        await asyncio.wait({awaited, self._process.exited}, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)

    async def _attach(self, deadline_mono_s: float) -> None:
        def left_s() -> float:
            return max(0.1, deadline_mono_s - mono_s())

        targets = await self.browser_cdp("Target.getTargets", timeout_s=left_s())
        pages = [target for target in targets.get("targetInfos", []) if target.get("type") == "page"]
        if not pages:
            created = await self.browser_cdp("Target.createTarget", {"url": "about:blank"}, timeout_s=left_s())
            pages = [{"targetId": created["targetId"], "type": "page"}]
        self._target_id = pages[0]["targetId"]
        self._session = await self.call(self._wire.createSession(pages[0]), timeout_s=left_s(), what="attach")
        self.on("Inspector.targetCrashed", self._on_crash)
        await self.cdp("Inspector.enable", timeout_s=left_s())
        if self._process.user_agent == plain_user_agent(self._process.version):
            await self.cdp("Emulation.setUserAgentOverride", self._user_agent(), timeout_s=left_s())

    def _user_agent(self) -> dict[str, Any]:
        # The flag sets the header and navigator.userAgent everywhere; the client hints can be set only here.
        hints = {
            "brands": plain_brands(self._process.version),
            "platform": "Linux",
            "platformVersion": "",
            "architecture": "x86",
            "model": "",
            "mobile": False,
        }
        return {"userAgent": self._process.user_agent, "userAgentMetadata": hints}

    def _outcome(self, task: "asyncio.Future[T]", what: str) -> T:
        try:
            return task.result()
        except PyppeteerError as error:
            self._check()
            raise PageCallError(str(error), pid=self._process.pid) from None
        except (*SOCKET_ERRORS, AttributeError) as error:
            # AttributeError: pyppeteer reads an answer that it did not get.
            self._check()
            raise BrowserError(f"{what}: {type(error).__name__}", pid=self._process.pid) from error

    def _check(self) -> None:
        if self.lost.done():
            raise BrowserError(self.lost.result(), pid=self._process.pid)

    def _on_exit(self, exited: "asyncio.Future[int]") -> None:
        if not exited.cancelled():
            # What it said last still comes out of the socket, which ends by itself.
            self._lose(f"Chromium ended with {exited.result()}")

    def _on_crash(self, event: dict[str, Any]) -> None:
        self._lose("the page's renderer crashed")

    def _lose(self, reason: str) -> None:
        if not self.lost.done():
            self.lost.set_result(reason)
        if self._session is not None:
            end_session(self._session)
