"""The limits on request bodies, counted while they arrive, so that one without Content-Length is held to them too.

Large bodies are files to be sent. Only so many are in memory at a time, and they may be little else than the file:
a JSON text of millions of values would stop the process while it is read.
"""

import asyncio
import contextlib

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from daemon.api.problems import is_send, problem_response, too_large

_SLOT_WAIT_S = 5.0
_JSON_MARKS_MAX = 20_000
"""Quotes and commas in a large JSON body; base64 has none."""


class BodyLimit:
    """ASGI middleware that answers 413 to a body of more than `max_body_bytes`, or `max_media_body_bytes` of a send.

    Of bodies over `max_body_bytes`, `large_at_once` are taken at a time; another one that waits in vain is 429.
    """

    def __init__(self, app: ASGIApp, *, max_body_bytes: int, max_media_body_bytes: int, large_at_once: int) -> None:
        self._app = app
        self._max_body_bytes = max_body_bytes
        self._max_media_body_bytes = max_media_body_bytes
        self._large = asyncio.Semaphore(large_at_once)

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
        is_form = headers.get("content-type", "").startswith("multipart/")
        received_bytes = marks = 0
        async with contextlib.AsyncExitStack() as held:
            is_large = False

            async def counted() -> Message:
                nonlocal received_bytes, marks, is_large
                if not is_large and max(declared_bytes, received_bytes) > self._max_body_bytes:
                    is_large = True
                    await self._hold_slot(held)
                message = await receive()
                body = message.get("body", b"")
                received_bytes += len(body)
                marks += 0 if is_form else body.count(b'"') + body.count(b",")
                if received_bytes > (self._max_body_bytes if marks > _JSON_MARKS_MAX else limit_bytes):
                    raise HTTPException(status_code=413)
                return message

            await self._app(scope, counted, send)

    async def _hold_slot(self, held: contextlib.AsyncExitStack) -> None:
        try:
            async with asyncio.timeout(_SLOT_WAIT_S):
                await held.enter_async_context(self._large)
        except TimeoutError:
            # An HTTPException, because FastAPI lets only those through from reading a body.
            raise HTTPException(status_code=429) from None
