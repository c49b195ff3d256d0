"""What Laravel is in production: an address that takes webhooks and believes only signed ones."""

import json
import time
from collections.abc import Callable
from typing import Any

from aiohttp import web

from daemon.webhooks.signature import SIGNATURE_HEADER, TIMESTAMP_HEADER, verify

Event = dict[str, Any]


class Receiver:
    """A webhook receiver on a port that the system chooses."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        """Verified events, in the order of their arrival, each once."""
        self.refused = 0
        """Requests whose signature was wrong."""
        self.secret = ""
        self.told: Callable[[Event], None] | None = None
        """Called with each new event, if set."""
        app = web.Application(client_max_size=16 << 20)
        app.router.add_post("/webhook", self._take)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)

    async def open(self) -> int:
        """Listen; return the port."""
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        return int(self._runner.addresses[0][1])

    async def close(self) -> None:
        """Listen no more; may be repeated."""
        await self._runner.cleanup()

    def of(self, session_id: str, kind: str) -> list[Event]:
        """Return a session's events of one kind."""
        return [event for event in self.events if (event["session_id"], event["event"]) == (session_id, kind)]

    async def _take(self, request: web.Request) -> web.Response:
        body = await request.read()
        stamp, signature = (request.headers.get(name, "") for name in (TIMESTAMP_HEADER, SIGNATURE_HEADER))
        if not verify(self.secret, stamp, body, signature, now=time.time()):
            self.refused += 1
            return web.Response(status=401)
        event = json.loads(body)
        if all(event["id"] != known["id"] for known in self.events):
            self.events.append(event)
            if self.told:
                self.told(event)
        return web.Response(status=204)
