"""Who sends a request: the token's id, what it may do, and for which workspaces. `TokenGate` finds it out."""

from dataclasses import dataclass
from typing import Annotated, cast

from fastapi import Depends, Request

from daemon.core.tokens import ApiToken, Scope


@dataclass(frozen=True, kw_only=True)
class Caller:
    """The holder of one token."""

    name: str
    """Id of the token: fit for logs."""
    scopes: frozenset[Scope]
    workspaces: frozenset[str] | None = None
    """The only workspaces that it may see; None: all."""

    def sees(self, workspace_id: str) -> bool:
        """Whether sessions of this workspace exist for the caller."""
        return self.workspaces is None or workspace_id in self.workspaces


OPERATOR = Caller(name="operator", scopes=frozenset(Scope))
"""Whoever has API_TOKEN."""


def caller_with(token: ApiToken) -> Caller:
    """Return the holder of a token."""
    return Caller(name=token.token_id, scopes=token.granted, workspaces=token.workspaces)


async def _caller(request: Request) -> Caller:
    # Set by the gate for every path that is not open; a route that could be reached otherwise must fail, not serve.
    return cast(Caller, request.state.caller)


CallerOf = Annotated[Caller, Depends(_caller)]
