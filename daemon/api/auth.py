"""The bearer token: whoever has it may do everything; without it only the open paths answer.

The check comes before routing and before a body is read, so that a stranger learns nothing and costs nothing, and
a route added later is closed unless it is named here.
"""

import hmac
from hashlib import sha256

from fastapi.security import HTTPBearer
from pydantic import SecretStr
from starlette.types import ASGIApp, Receive, Scope, Send

from daemon.api.errors import UnauthorizedError
from daemon.api.problems import problem_response

OPEN_PATHS = frozenset({"/health", "/health/live", "/health/ready", "/docs", "/openapi.json"})
"""Paths that reveal no ids, names or contents, only whether the service works and how it is called."""

documented_bearer = HTTPBearer(auto_error=False, description="API_TOKEN of the coordinator.")
"""Puts the scheme into the OpenAPI document; `TokenGate` does the checking."""


class TokenGate:
    """ASGI middleware that answers 401 unless the request carries the token."""

    def __init__(self, app: ASGIApp, *, token: SecretStr) -> None:
        self._app = app
        self._digest = _digest(token.get_secret_value().encode())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        elif scope["type"] != "http" or scope["path"] in OPEN_PATHS or self._may_pass(scope):
            await self._app(scope, receive, send)
        else:
            error = UnauthorizedError(
                "the bearer token is missing or wrong", hint="send the header Authorization: Bearer <API_TOKEN>"
            )
            response = problem_response(error, scope, headers={"WWW-Authenticate": 'Bearer realm="blazz"'})
            await response(scope, receive, send)

    def _may_pass(self, scope: Scope) -> bool:
        given = [value for name, value in scope["headers"] if name == b"authorization"]
        if len(given) != 1:
            return False
        scheme, _, token = given[0].partition(b" ")
        # Digests of equal length: the comparison tells neither how much matched nor how long the token is.
        return bool(scheme.lower() == b"bearer") & hmac.compare_digest(_digest(token.strip()), self._digest)


def _digest(token: bytes) -> bytes:
    return sha256(token).digest()
