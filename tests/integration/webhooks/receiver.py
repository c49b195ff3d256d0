"""A webhook receiver on loopback that misbehaves as told."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """One try that arrived."""

    headers: dict[str, str]
    raw: bytes
    body: dict[str, Any]

    @property
    def session_id(self) -> str:
        return str(self.body["session_id"])

    @property
    def number(self) -> int:
        """What the test numbered the event with."""
        return int(self.body["data"]["n"])


Behaviour = Callable[[web.Request, Delivery], Awaitable[web.StreamResponse]]


async def accept(_request: web.Request, _delivery: Delivery) -> web.StreamResponse:
    """Take every event."""
    return web.Response(text="ok")


@dataclass
class Receiver:
    """Keeps every try in `tries` and the taken ones in `taken`; `behave` may be changed at any time."""

    url: str
    behave: Behaviour = accept
    tries: list[Delivery] = field(default_factory=list)
    taken: list[Delivery] = field(default_factory=list)
    open_now: int = 0
    open_most: int = 0

    async def on_post(self, request: web.Request) -> web.StreamResponse:
        """Note the try and answer as told."""
        raw = await request.read()
        delivery = Delivery(headers=dict(request.headers), raw=raw, body=await request.json())
        self.tries.append(delivery)
        self.open_now += 1
        self.open_most = max(self.open_most, self.open_now)
        try:
            answer = await self.behave(request, delivery)
        finally:
            self.open_now -= 1
        if answer.status < 300:
            self.taken.append(delivery)
        return answer

    def numbers(self, session_id: str) -> list[int]:
        """Return the numbers of a session's taken events in the order of arrival."""
        return [delivery.number for delivery in self.taken if delivery.session_id == session_id]


@asynccontextmanager
async def running_receiver() -> AsyncIterator[Receiver]:
    """Run a receiver on a free port."""
    listener = socket.create_server(("127.0.0.1", 0))
    receiver = Receiver(url=f"http://127.0.0.1:{listener.getsockname()[1]}/hook")
    app = web.Application()
    app.router.add_post("/hook", receiver.on_post)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.SockSite(runner, listener).start()
    try:
        yield receiver
    finally:
        await runner.cleanup()


async def until(condition: Callable[[], bool], what: str, *, limit_s: float = 60.0) -> None:
    """Wait for a condition with a deadline."""
    try:
        async with asyncio.timeout(limit_s):
            while not condition():
                await asyncio.sleep(0.005)
    except TimeoutError:
        raise AssertionError(f"not within {limit_s} s: {what}") from None
