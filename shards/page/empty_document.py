"""An empty document of the page's origin, answered by us: where a page is before WhatsApp's own document is loaded."""

import contextlib
from collections.abc import AsyncIterator
from typing import Any

from daemon.core.clock import mono_s
from shards.browser.connection import BrowserConnection


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
        return await connection.cdp(method, params, timeout_s=max(0.1, deadline_mono_s - mono_s()))

    connection.on("Fetch.requestPaused", answer)
    try:
        # A service worker of a restored profile would otherwise answer instead of us.
        await cdp("Network.enable")
        await cdp("Network.setBypassServiceWorker", {"bypass": True})
        await cdp("Fetch.enable", {"patterns": [{"urlPattern": "*"}]})
        await cdp("Page.navigate", {"url": f"{origin}/"})
        yield
    finally:
        connection.off("Fetch.requestPaused", answer)
        for method, params in (
            ("Fetch.disable", {}),
            ("Network.setBypassServiceWorker", {"bypass": False}),
            ("Network.disable", {}),
        ):
            connection.cdp_nowait(method, params)
