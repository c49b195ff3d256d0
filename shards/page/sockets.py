"""The page's websockets, found and closed over DevTools. The page is not touched for it before its end."""

from shards.browser.connection import BrowserConnection

_GROUP = "sockets"


async def close_sockets(connection: BrowserConnection, *, timeout_s: float) -> None:
    """Close every websocket of the main frame; what has not arrived by then never does.

    Raises:
        PageTimeoutError, BrowserError: the page hangs, or is gone.
    """
    prototype = await connection.cdp(
        "Runtime.evaluate", {"expression": "WebSocket.prototype", "objectGroup": _GROUP}, timeout_s=timeout_s
    )
    found = await connection.cdp(
        "Runtime.queryObjects",
        {"prototypeObjectId": prototype["result"]["objectId"], "objectGroup": _GROUP},
        timeout_s=timeout_s,
    )
    close = "function () { for (const socket of this) WebSocket.prototype.close.call(socket); }"
    await connection.cdp(
        "Runtime.callFunctionOn",
        {"objectId": found["objects"]["objectId"], "functionDeclaration": close},
        timeout_s=timeout_s,
    )
