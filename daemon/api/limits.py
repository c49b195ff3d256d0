"""The limit on request bodies, counted while they arrive, so that one without Content-Length is held to it too."""

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from daemon.api.problems import is_send, problem_response, too_large


class _TooLarge(HTTPException):
    # An HTTPException, because FastAPI lets only those through from reading a body.
    def __init__(self) -> None:
        super().__init__(status_code=413)


class BodyLimit:
    """ASGI middleware that answers 413 to a body of more than `max_body_bytes`, or `max_media_body_bytes` of a send."""

    def __init__(self, app: ASGIApp, *, max_body_bytes: int, max_media_body_bytes: int) -> None:
        self._app = app
        self._max_body_bytes = max_body_bytes
        self._max_media_body_bytes = max_media_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        limit_bytes = self._max_media_body_bytes if is_send(scope["path"]) else self._max_body_bytes
        declared = Headers(scope=scope).get("content-length", "")
        if declared.isdecimal() and int(declared) > limit_bytes:
            await problem_response(too_large(limit_bytes), scope)(scope, receive, send)
            return
        received_bytes = 0

        async def counted() -> Message:
            nonlocal received_bytes
            message = await receive()
            received_bytes += len(message.get("body", b""))
            if received_bytes > limit_bytes:
                raise _TooLarge
            return message

        await self._app(scope, counted, send)
