"""The daemon that is driven by `bench.load`: what is asked of it over HTTP, and what was made there."""

import asyncio
import contextlib
import re
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import click
import httpx

from bench.traffic import Due
from daemon.cli.answers import CoordinatorUnavailableError, RefusedError, json_of, refusal_of
from daemon.core.errors import BlazzError

LIST, CREATE, AGAIN, SEND = "list", "create", "create again", "send"
AT_ONCE = 200
TIMEOUT_S = 40.0
_SESSIONS = "/api/whatsapp/sessions"
_DELETE_WITHIN_S = 120.0
_VISIBLE = re.compile(r"[\x21-\x7e]+")


@dataclass(kw_only=True)
class Driven:
    """The daemon that is driven, what is asked of it, and what was made there."""

    http: httpx.AsyncClient
    workspace: str
    sessions: int
    """How many of its own."""
    senders: Sequence[str]
    to: str
    run_id: str = field(default_factory=lambda: f"load-{secrets.token_hex(4)}")
    made: set[str] = field(default_factory=set)
    """Sessions that were asked for and may be there, also if the answer never came."""

    async def check(self) -> None:
        """Make sure that it is a daemon which takes the token.

        Raises:
            click.ClickException: it is not, or it does not.
        """
        try:
            await self._call("GET", _SESSIONS, params={"limit": 1})
        except (BlazzError, httpx.TransportError) as error:
            raise click.ClickException(f"cannot drive {self.http.base_url}: {_code(error)}: {error}") from None

    async def ask(self, due: Due) -> str:
        """Make a request; return the code of what went wrong, or nothing."""
        try:
            await self._ask(due)
        except (BlazzError, httpx.TransportError) as error:
            return _code(error)
        return ""

    async def _ask(self, due: Due) -> None:
        if due.kind == LIST:
            await self._call("GET", _SESSIONS, params={"limit": 50})
        elif due.kind == SEND:
            sender = self.senders[due.number % len(self.senders)]
            body = {"session_id": sender, "to": self.to, "message": f"{self.run_id} {due.number}"}
            key = {"Idempotency-Key": f"{self.run_id}-{due.number}"}
            await self._call("POST", "/api/whatsapp/send", json=body, headers=key)
        else:
            session_id = f"{self.run_id}-{due.number % self.sessions}"
            self.made.add(session_id)
            body = {"workspace_id": self.workspace, "user_id": session_id, "session_id": session_id}
            await self._call("POST", _SESSIONS, json=body)

    async def delete_made(self) -> None:
        """Delete what was made, as far as that succeeds within two minutes; `made` is what is left."""
        deadline_mono_s = time.monotonic() + _DELETE_WITHIN_S
        slots = asyncio.Semaphore(4)

        async def delete(session_id: str) -> None:
            async with slots:
                while time.monotonic() < deadline_mono_s:
                    pause_s = await self._delete(session_id)
                    if pause_s is None:
                        self.made.discard(session_id)
                        return
                    await asyncio.sleep(pause_s)

        await asyncio.gather(*(delete(session_id) for session_id in sorted(self.made)))

    async def _delete(self, session_id: str) -> float | None:
        """Return None once it is gone, or after how many seconds to try again."""
        with contextlib.suppress(httpx.TransportError):
            answer = await self.http.delete(f"{_SESSIONS}/{session_id}")
            refusal = refusal_of(answer)
            if answer.status_code == 204 or refusal.code == "session_not_found":
                return None
            if isinstance(refusal, RefusedError) and refusal.retry_after_s is not None:
                return refusal.retry_after_s
        return 1.0

    async def _call(self, method: str, path: str, **request: Any) -> dict[str, Any]:
        answer = await self.http.request(method, path, **request)
        told = json_of(answer) if answer.is_success else None
        if told is None:
            raise refusal_of(answer)
        return told


def _code(error: BlazzError | httpx.TransportError) -> str:
    if isinstance(error, BlazzError):
        return error.code
    return "timeout" if isinstance(error, httpx.TimeoutException) else CoordinatorUnavailableError.code


def checked_url(url: str) -> str:
    """Return the address; what is wrong with it is not repeated, as it may hold a password."""
    with contextlib.suppress(ValueError):
        parts = urlsplit(url)
        more = "@" in parts.netloc or parts.query or parts.fragment
        if parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0 and not more:
            return url
    raise click.UsageError("--url is no address of a daemon, as https://blazz.example.com or http://127.0.0.1:8080")


def checked_token(token: str | None) -> str:
    """Return the token, if it can be sent."""
    if token is None:
        raise click.UsageError("there is no token: set BLAZZ_TOKEN")
    if not _VISIBLE.fullmatch(token):
        raise click.UsageError("the token has characters that no token has")
    return token


def client_of(url: str, token: str) -> httpx.AsyncClient:
    """Return a client that talks to this host alone."""
    return httpx.AsyncClient(
        base_url=url,
        headers={"Authorization": f"Bearer {token}", "Accept": "application/json"},
        timeout=TIMEOUT_S,
        limits=httpx.Limits(max_connections=AT_ONCE, max_keepalive_connections=AT_ONCE),
        follow_redirects=False,
        trust_env=False,
    )
