"""Keep the stand-in on this machine: it has no passwords, and whoever reaches its control API is "the phone"."""

from __future__ import annotations

import ipaddress
from collections.abc import Awaitable, Callable

from aiohttp import web
from aiohttp.typedefs import Middleware

Respond = Callable[[web.Request], Awaitable[web.StreamResponse]]
LOOPBACK_NAMES = ("localhost", "127.0.0.1", "[::1]")


def require_loopback(host: str) -> str:
    """Return `host` if listening there is reachable from this machine alone.

    Raises:
        ValueError: any other address, and every name but localhost.
    """
    if host != "localhost":
        try:
            inside = ipaddress.ip_address(host).is_loopback
        except ValueError:
            inside = False
        if not inside:
            raise ValueError(f"the stand-in listens on loopback addresses only, not on {host!r}")
    return host


def only_hosts(*names: str) -> Middleware:
    """Middleware that refuses requests addressed to other host names, so that no web page elsewhere can reach in."""
    allowed = {*LOOPBACK_NAMES, *names}

    @web.middleware
    async def check(request: web.Request, handler: Respond) -> web.StreamResponse:
        host = request.host.rsplit(":", 1)[0] if not request.host.endswith("]") else request.host
        if host not in allowed:
            return web.json_response({"ok": False, "error": "not this host"}, status=421)
        return await handler(request)

    return check
