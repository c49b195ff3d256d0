"""The limits on request bodies, counted while they arrive, so that one without Content-Length is held to them too.

Large bodies are files to be sent. Only so many are in memory at a time, they must come, and they may be little else
than the file: a JSON text of millions of values would stop the process while it is read.
"""

import asyncio
import contextlib
from dataclasses import dataclass

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from daemon.api.caller import OPERATOR, Caller
from daemon.api.problems import is_form, is_send, problem_response, too_large
from daemon.core.clock import mono_s
from daemon.core.places import Places

_PLACE_WAIT_S = 5.0
_CHUNK_S = 20.0
_BODY_S = 300.0
_JSON_MARKS_MAX = 20_000
"""Quotes and commas in a large JSON body; base64 has none."""


class BodyLimit:
    """ASGI middleware that answers 413 to a body of more than `max_body_bytes`, or `max_media_body_bytes` of a send.

    Of bodies over `max_body_bytes`, `large_at_once` are taken at a time, half of them of one token; another one that
    waits in vain is 429, and one that stops coming 408.
    """

    def __init__(self, app: ASGIApp, *, max_body_bytes: int, max_media_body_bytes: int, large_at_once: int) -> None:
        self._app = app
        self._max_body_bytes = max_body_bytes
        self._max_media_body_bytes = max_media_body_bytes
        self._large = Places(large_at_once, wait_s=_PLACE_WAIT_S)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        limit_bytes = self._max_media_body_bytes if is_send(scope["path"]) else self._max_body_bytes
        headers = Headers(scope=scope)
        length = headers.get("content-length", "")
        declared_bytes = int(length) if length.isdecimal() else 0
        if declared_bytes > limit_bytes:
            await problem_response(too_large(limit_bytes), scope)(scope, receive, send)
            return
        async with contextlib.AsyncExitStack() as held:
            body = _Body(receive, limit_bytes, self._max_body_bytes, marked=not is_form(headers))

            async def counted() -> Message:
                if not body.is_large and max(declared_bytes, body.received_bytes) > self._max_body_bytes:
                    await self._hold_place(scope, held)
                    body.is_large = True
                return await body.next()

            await self._app(scope, counted, send)

    async def _hold_place(self, scope: Scope, held: contextlib.AsyncExitStack) -> None:
        caller: Caller | None = scope.get("state", {}).get("caller")
        try:
            await held.enter_async_context(self._large.hold(None if caller in {None, OPERATOR} else caller.name))
        except TimeoutError:
            # An HTTPException, because FastAPI lets only those through from reading a body.
            raise HTTPException(status_code=429) from None


@dataclass
class _Body:
    """One body as it arrives. `marked` says that quotes and commas count."""

    receive: Receive
    limit_bytes: int
    small_bytes: int
    marked: bool
    received_bytes: int = 0
    marks: int = 0
    is_large: bool = False
    ended: bool = False
    late_mono_s: float = 0.0

    async def next(self) -> Message:
        """Return what comes next. Raises HTTPException: too much of it, or too late."""
        message = await self._in_time() if self.is_large and not self.ended else await self.receive()
        body = message.get("body", b"")
        self.ended = not message.get("more_body", False)
        self.received_bytes += len(body)
        self.marks += body.count(b'"') + body.count(b",") if self.marked else 0
        if self.received_bytes > self.limit_bytes:
            raise HTTPException(status_code=413)
        if self.marks > _JSON_MARKS_MAX and self.received_bytes > self.small_bytes:
            raise HTTPException(status_code=413, detail="a large JSON body may hold a file and little else")
        return message

    async def _in_time(self) -> Message:
        now_mono_s = mono_s()
        self.late_mono_s = self.late_mono_s or now_mono_s + _BODY_S
        try:
            async with asyncio.timeout(min(_CHUNK_S, self.late_mono_s - now_mono_s)):
                return await self.receive()
        except TimeoutError:
            raise HTTPException(status_code=408) from None
