"""An empty document of the page's origin, answered by us: where a page is before WhatsApp's own document is loaded."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

from daemon.core.clock import mono_s
from daemon.core.errors import BrowserError
from shards.browser.connection import BrowserConnection

_PATH = "/empty"
"""Not the page's own: Chromium takes a navigation to where it is for a reload, and asks for it as for one."""


@contextlib.asynccontextmanager
async def empty_document(connection: BrowserConnection, *, origin: str, timeout_s: float) -> AsyncIterator[None]:
    """Bring the page into an empty document of `origin`, of which the network is never asked.

    What belongs to the origin can be put into the browser there before the page's first script. And it saves a
    renderer: a document with a Cross-Origin-Opener-Policy gets another one than `about:blank` had, but keeps that of a
    document of its own origin (seen with Chromium 156).

    Raises:
        PageTimeoutError: not there in time.
        BrowserError: it cannot be opened, or the browser is gone.
    """
    deadline_mono_s = mono_s() + timeout_s
    loaded = asyncio.Event()

    def left_s() -> float:
        return max(0.1, deadline_mono_s - mono_s())

    def on_load(event: dict[str, Any]) -> None:
        loaded.set()

    def answer(event: dict[str, Any]) -> None:
        connection.cdp_nowait(
            "Fetch.fulfillRequest",
            {
                "requestId": event.get("requestId"),
                "responseCode": 200,
                "responseHeaders": [{"name": "Content-Type", "value": "text/html"}],
            },
        )

    async def cdp(method: str, params: dict[str, Any] | None = None) -> dict[str, Any]:
        return await connection.cdp(method, params, timeout_s=left_s())

    connection.on("Fetch.requestPaused", answer)
    connection.on("Page.loadEventFired", on_load)
    try:
        await cdp("Page.enable")
        # A service worker of a restored profile would otherwise answer instead of us.
        await cdp("Network.enable")
        await cdp("Network.setBypassServiceWorker", {"bypass": True})
        await cdp("Fetch.enable", {"patterns": [{"urlPattern": "*"}]})
        loaded.clear()  # of a document before this one
        shown = await cdp("Page.navigate", {"url": f"{origin}{_PATH}"})
        if shown.get("errorText"):
            raise BrowserError(f"an empty document cannot be opened: {shown['errorText']}", origin=origin)
        # Else it could be taken for the load of what comes next.
        await connection.call(loaded.wait(), timeout_s=left_s(), what="load an empty document")
        yield
    finally:
        connection.off("Fetch.requestPaused", answer)
        connection.off("Page.loadEventFired", on_load)
        for method, params in (
            ("Fetch.disable", {}),
            ("Network.setBypassServiceWorker", {"bypass": False}),
            ("Network.disable", {}),
        ):
            connection.cdp_nowait(method, params)
