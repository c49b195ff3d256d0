"""Who may ask: bearer tokens, their scopes, and how often they may ask. Without a token only the open paths answer.

All of it comes before routing and before a body is read, so that a stranger learns nothing and costs little, and a
route added later is closed unless it is named in `OPEN_PATHS` and `scopes`.
"""

import hmac
import math
import time
from hashlib import sha256
from typing import Protocol
from urllib.parse import parse_qsl

import structlog
from fastapi.security import HTTPBearer
from limits import RateLimitItemPerMinute
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import SlidingWindowCounterRateLimiter
from pydantic import SecretStr
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from daemon.api.caller import OPERATOR, Caller, caller_with
from daemon.api.errors import ForbiddenError, RateLimitedError, TokenInUrlError, UnauthorizedError
from daemon.api.problems import problem_response
from daemon.api.scopes import needed_scope
from daemon.core.errors import BlazzError
from daemon.core.sections import CoordinatorSettings
from daemon.core.tokens import ApiToken

log = structlog.get_logger()

OPEN_PATHS = frozenset({"/health", "/health/live", "/health/ready", "/docs", "/openapi.json"})
"""Paths that reveal no ids, names or contents, only whether the service works and how it is called."""

documented_bearer = HTTPBearer(auto_error=False, description="API_TOKEN, or a token made by `blazz tokens create`.")
"""Puts the scheme into the OpenAPI document; `TokenGate` does the checking."""

_IN_URL = frozenset({"token", "access_token", "api_token", "api_key", "apikey", "authorization"})


class TokenFinder(Protocol):
    """Where tokens are looked up."""

    async def find(self, text: str) -> ApiToken | None:
        """Return the token that `text` is, if it works. Raises UnavailableError when nobody knows."""


class TokenGate:
    """ASGI middleware: finds out who asks, and answers 401, 403 or 429 to those who may not."""

    def __init__(self, app: ASGIApp, *, settings: CoordinatorSettings, tokens: TokenFinder) -> None:
        self._app = app
        self._operator = _digest(settings.api_token)
        self._tokens = tokens
        self._limits = _Limits(settings)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        elif scope["type"] != "http":
            await self._app(scope, receive, send)
        elif scope["path"] in OPEN_PATHS:
            await self._app(scope, receive, _private(scope, send))
        else:
            await self._guarded(scope, receive, _private(scope, send))

    async def _guarded(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            caller = await self._caller(scope)
        except BlazzError as error:
            await _refusal(error, scope)(scope, receive, send)
            return
        scope.setdefault("state", {})["caller"] = caller
        await self._app(scope, receive, send)

    async def _caller(self, scope: Scope) -> Caller:
        """Return who asks.

        Raises:
            TokenInUrlError, UnauthorizedError, ForbiddenError, RateLimitedError: who asks may not.
            UnavailableError: nobody knows whether the token works.
        """
        if _IN_URL & {name.lower() for name, _ in parse_qsl(scope["query_string"].decode("latin-1"))}:
            raise TokenInUrlError(
                "a token is never part of an address, where logs and histories keep it",
                hint="send the header Authorization: Bearer <token>, and revoke the token that was sent",
            )
        address = scope["client"][0] if scope.get("client") else ""
        caller = await self._known(scope)
        if caller is None:
            await self._limits.count_failure(address)
            raise UnauthorizedError(
                "the bearer token is missing or wrong", hint="send the header Authorization: Bearer <token>"
            )
        await self._limits.count(caller)
        needed = needed_scope(scope["method"], scope["path"])
        if needed not in caller.scopes:
            raise ForbiddenError(
                "this token may not do that", hint=f"it needs the scope {needed}; see `blazz tokens create`"
            )
        return caller

    async def _known(self, scope: Scope) -> Caller | None:
        given = [value for name, value in scope["headers"] if name == b"authorization"]
        if len(given) != 1:
            return None
        scheme, _, raw = given[0].partition(b" ")
        if scheme.lower() != b"bearer":
            return None
        text = raw.strip()
        # Digests of equal length: the comparison tells neither how much matched nor how long the token is.
        if hmac.compare_digest(sha256(text).digest(), self._operator):
            return OPERATOR
        token = await self._tokens.find(text.decode("latin-1"))
        return caller_with(token) if token is not None else None


class _Limits:
    """How often somebody asks, in one window that slides over a minute."""

    def __init__(self, settings: CoordinatorSettings) -> None:
        self._windows = SlidingWindowCounterRateLimiter(MemoryStorage())
        self._requests = RateLimitItemPerMinute(settings.rate_limit) if settings.rate_limit else None
        self._failures = RateLimitItemPerMinute(settings.auth_failures) if settings.auth_failures else None

    async def count(self, caller: Caller) -> None:
        """Count a request. Raises RateLimitedError."""
        await self._hit(self._requests, "token", caller.name)

    async def count_failure(self, address: str) -> None:
        """Count a request without a valid token. Raises RateLimitedError."""
        await self._hit(self._failures, "address", address)

    async def _hit(self, limit: RateLimitItemPerMinute | None, kind: str, who: str) -> None:
        if limit is None or await self._windows.hit(limit, kind, who):
            return
        error = RateLimitedError(f"more than {limit.amount} requests a minute", hint="wait, and ask less often")
        reset_at, _ = await self._windows.get_window_stats(limit, kind, who)
        error.retry_after_s = max(1, min(60, math.ceil(reset_at - time.time())))
        raise error


def _refusal(error: BlazzError, scope: Scope) -> JSONResponse:
    headers = {"WWW-Authenticate": 'Bearer realm="blazz"'} if isinstance(error, UnauthorizedError) else None
    return problem_response(error, scope, headers=headers)


def _private(scope: Scope, send: Send) -> Send:
    """Return a `send` that keeps answers out of caches, and browsers from guessing what they are."""
    is_api = scope["path"].startswith("/api/")

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = message.setdefault("headers", [])
            names = {name.lower() for name, _ in headers}
            headers += [(b"x-content-type-options", b"nosniff")] if b"x-content-type-options" not in names else []
            headers += [(b"cache-control", b"no-store")] if is_api and b"cache-control" not in names else []
        await send(message)

    return sending


def _digest(token: SecretStr) -> bytes:
    return sha256(token.get_secret_value().encode()).digest()
