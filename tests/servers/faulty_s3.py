"""An S3 server behind a proxy that can fail in the ways in which an object store fails.

Signatures cover the Host header, so it is passed on as the client sent it.
"""

import asyncio
import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Self

import aiohttp
from aiohttp import web
from multidict import CIMultiDict
from yarl import URL

from tests.servers.child import free_ports
from tests.servers.s3 import S3Server

_HOP = frozenset({"connection", "keep-alive", "transfer-encoding", "te", "upgrade", "proxy-connection"})
_OWN = ("Accept", "Accept-Encoding", "User-Agent", "Content-Type")
_SLOW_CHUNK_BYTES = 4096
_SLOW_DOWN = (
    '<?xml version="1.0" encoding="UTF-8"?>'
    "<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"
)


class Fault(StrEnum):
    """What the proxy does."""

    NONE = "none"
    REFUSE = "refuse"
    """Nobody listens on the port."""
    SLOW_DOWN = "slow_down"
    """Every answer is 503 SlowDown."""
    HANG = "hang"
    """Connections are taken, and nothing is ever answered."""
    SLOW_BODIES = "slow_bodies"
    """Bodies trickle, in both directions."""
    CUT_BODIES = "cut_bodies"
    """Connections break in the middle of a body, in both directions."""
    LOSE_ANSWERS = "lose_answers"
    """What is written is stored, and the connection breaks before the answer."""


@dataclass(kw_only=True)
class Seen:
    """One request. `status` is None when no answer was sent."""

    method: str
    path: str
    announced_bytes: int
    fault: Fault
    received_bytes: int = 0
    status: int | None = None


class FaultyS3:
    """The proxy, on a port that stays the same."""

    def __init__(self, behind: S3Server, *, slow_pause_s: float = 0.02) -> None:
        """`slow_pause_s` lies between two pieces of a trickling body."""
        self._behind = behind
        self._slow_pause_s = slow_pause_s
        self._port = free_ports(1)
        self._fault = Fault.NONE
        self._times: int | None = None
        self._runner: web.AppRunner | None = None
        self.seen: list[Seen] = []

    @property
    def url(self) -> str:
        """Address of the proxy."""
        return f"http://127.0.0.1:{self._port}"

    async def __aenter__(self) -> Self:
        self._client = aiohttp.ClientSession(
            auto_decompress=False, timeout=aiohttp.ClientTimeout(total=60), connector=aiohttp.TCPConnector(limit=0)
        )
        self._over = asyncio.Event()
        await self._listen()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._over.set()
        await self._close()
        await self._client.close()

    async def turn(self, fault: Fault, *, times: int | None = None) -> None:
        """Fail in this way from now on, or only for the next so many requests that it concerns.

        Connections that hang break now.
        """
        self._fault, self._times = fault, times
        self._over.set()
        self._over = asyncio.Event()
        if fault is Fault.REFUSE:
            await self._close()
        elif self._runner is None:
            await self._listen()

    def puts(self, *, since: int = 0) -> list[Seen]:
        """Return the uploads among the requests from the `since`th on."""
        return [seen for seen in self.seen[since:] if seen.method == "PUT"]

    async def _listen(self) -> None:
        runner = web.AppRunner(_app(self._take), access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", self._port, reuse_address=True).start()
        self._runner = runner

    async def _close(self) -> None:
        runner, self._runner = self._runner, None
        if runner is not None:
            assert runner.server is not None
            for connection in list(runner.server.connections):
                if connection.transport is not None:
                    connection.transport.abort()
            await runner.cleanup()

    async def _take(self, request: web.Request) -> web.StreamResponse:
        fault = self._next_fault(request)
        seen = Seen(method=request.method, path=request.path, announced_bytes=request.content_length or 0, fault=fault)
        self.seen.append(seen)
        if fault is Fault.HANG:
            await self._over.wait()
            return _broken(request)
        body = await self._receive(request, seen)
        if body is None:
            return _broken(request)
        if fault is Fault.SLOW_DOWN:
            seen.status = 503
            return web.Response(status=503, text=_SLOW_DOWN, content_type="application/xml")
        return await self._pass_on(request, body, seen)

    def _next_fault(self, request: web.Request) -> Fault:
        fault = self._fault
        if fault is Fault.LOSE_ANSWERS and request.method not in {"PUT", "DELETE"}:
            return Fault.NONE
        if self._times is not None:
            self._times -= 1
            if self._times <= 0:
                self._fault, self._times = Fault.NONE, None
        return fault

    async def _receive(self, request: web.Request, seen: Seen) -> bytes | None:
        """Return the body; None when the connection broke, by either side."""
        body = bytearray()
        cut_at = seen.announced_bytes // 2 if seen.fault is Fault.CUT_BODIES and seen.announced_bytes else None
        try:
            while chunk := await request.content.read(_SLOW_CHUNK_BYTES):
                body += chunk
                seen.received_bytes = len(body)
                if cut_at is not None and len(body) >= cut_at:
                    return None
                if seen.fault is Fault.SLOW_BODIES:
                    await asyncio.sleep(self._slow_pause_s)
        except (ConnectionError, aiohttp.ClientError, asyncio.IncompleteReadError):
            return None
        return bytes(body) if len(body) == seen.announced_bytes else None

    async def _pass_on(self, request: web.Request, body: bytes, seen: Seen) -> web.StreamResponse:
        headers = CIMultiDict((k, v) for k, v in request.headers.items() if k.lower() not in _HOP)
        async with self._client.request(
            request.method,
            # As it came: another quoting of the same path would not fit the signature.
            URL(f"{self._behind.endpoint}{request.raw_path}", encoded=True),
            headers=headers,
            data=body or None,
            skip_auto_headers=_OWN,
            allow_redirects=False,
        ) as answer:
            content = await answer.read()
            if seen.fault is Fault.LOSE_ANSWERS:
                return _broken(request)
            return await self._answer(request, answer, content, seen)

    async def _answer(
        self, request: web.Request, answer: aiohttp.ClientResponse, content: bytes, seen: Seen
    ) -> web.StreamResponse:
        headers = CIMultiDict((k, v) for k, v in answer.headers.items() if k.lower() not in _HOP)
        response = web.StreamResponse(status=answer.status, headers=headers)
        cut = seen.fault is Fault.CUT_BODIES and content
        seen.status = None if cut else answer.status
        with contextlib.suppress(ConnectionError):
            await response.prepare(request)
            for chunk in _pieces(content, seen.fault):
                await response.write(chunk)
                if seen.fault is Fault.SLOW_BODIES:
                    await asyncio.sleep(self._slow_pause_s)
            if cut:
                return _broken(request, response)
            await response.write_eof()
        return response


def _app(take: object) -> web.Application:
    app = web.Application(client_max_size=1 << 30)
    app.router.add_route("*", "/{path:.*}", take)  # type: ignore[arg-type]
    return app


def _pieces(content: bytes, fault: Fault) -> Iterator[bytes]:
    """Yield the content as the fault has it: whole, its first half, or in small pieces."""
    if fault is Fault.CUT_BODIES:
        content = content[: len(content) // 2]
    step = _SLOW_CHUNK_BYTES if fault is Fault.SLOW_BODIES else len(content) or 1
    for start in range(0, len(content), step):
        yield content[start : start + step]


def _broken(request: web.Request, response: web.StreamResponse | None = None) -> web.StreamResponse:
    """Break the connection; what is returned goes nowhere."""
    if request.transport is not None:
        request.transport.abort()
    return response or web.Response(status=500)
