"""A daemon that answers as told, for what a real one cannot be made to answer in time: losses and odd answers."""

import base64
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Self

from aiohttp import web

TOKEN = "token-of-the-tests"
Json = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One request: `json` of a JSON body; of a multipart body the fields, a file as (name, content in base64)."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    json: Any


@dataclass(frozen=True, kw_only=True)
class Answer:
    """One answer; `cut` ends the connection in place of answering, `meanwhile` is called before it."""

    status: int = 200
    json: Any = None
    body: bytes | None = None
    headers: dict[str, str] = field(default_factory=dict)
    cut: bool = False
    meanwhile: Callable[[], None] | None = None


class DaemonDouble:
    """Answers with `answers` one after another and keeps what was asked."""

    def __init__(self) -> None:
        self.answers: list[Answer] = []
        self.asked: list[Asked] = []

    async def __aenter__(self) -> Self:
        listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        app = web.Application(client_max_size=8 << 20)
        app.router.add_route("*", "/{path:.*}", self._take)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.SockSite(self._runner, listener).start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    def will(self, *answers: Answer) -> None:
        """Forget what was asked and answer with these."""
        self.asked, self.answers = [], list(answers)

    async def _take(self, request: web.Request) -> web.StreamResponse:
        body: Any = None
        if request.content_type == "multipart/form-data":
            body = {
                name: (value.filename, base64.b64encode(value.file.read()).decode())
                if isinstance(value, web.FileField)
                else value
                for name, value in (await request.post()).items()
            }
        elif request.can_read_body:
            body = await request.json()
        self.asked.append(
            Asked(
                method=request.method,
                path=request.raw_path.partition("?")[0],
                query=dict(request.query),
                headers=dict(request.headers),
                json=body,
            )
        )
        answer = self.answers.pop(0)
        if answer.meanwhile is not None:
            answer.meanwhile()
        if answer.cut:
            assert request.transport is not None
            request.transport.abort()
        if answer.json is not None:
            return web.json_response(answer.json, status=answer.status, headers=answer.headers)
        return web.Response(body=answer.body, status=answer.status, headers=answer.headers)


def problem(status: int, code: str, *, retry_after: int | None = None, **facts: Any) -> Answer:
    """Return a problem document as the daemon makes them."""
    headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
    return Answer(status=status, headers=headers, json={"code": code, "status": status, "detail": "so", **facts})


SENT = Answer(
    json={
        "message_id": "true_55@c.us_3EB0",
        "session_id": "s",
        "outcome": "sent",
        "ack": 1,
        "timestamp": "2026-01-31T12:00:00.000Z",
        "replayed": False,
    }
)
