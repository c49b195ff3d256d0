"""API tokens in memory, for what the HTTP side itself decides."""

from collections.abc import Sequence
from datetime import UTC, datetime

from daemon.core.errors import RedisUnavailableError, TokenNotFoundError
from daemon.core.tokens import ApiToken, Scope, digest_of, new_token

NOW = datetime(2026, 1, 31, 12, 0, 0, tzinfo=UTC)


class TokensDouble:
    """Keeps what was made."""

    def __init__(self) -> None:
        self.made: dict[str, ApiToken] = {}
        self.redis_is_away = False

    def give(self, *scopes: Scope, workspaces: Sequence[str] | None = None) -> str:
        """Make a token and return it."""
        token_id, text = new_token()
        self.made[token_id] = ApiToken(
            token_id=token_id,
            digest=digest_of(text),
            name="test",
            scopes=frozenset(scopes),
            workspaces=None if workspaces is None else frozenset(workspaces),
            created_at=NOW,
        )
        return text

    async def find(self, text: str) -> ApiToken | None:
        """Return the token."""
        if self.redis_is_away:
            raise RedisUnavailableError("gone")
        return next((token for token in self.made.values() if token.is_made_of(text)), None)

    async def works(self, token_id: str) -> bool:
        """Whether it is there."""
        return token_id in self.made

    async def create(
        self, *, name: str, scopes: frozenset[Scope], workspaces: frozenset[str] | None, expires_at: datetime | None
    ) -> tuple[ApiToken, str]:
        """Make a token as it was asked for."""
        text = self.give(*scopes, workspaces=None if workspaces is None else sorted(workspaces))
        return next(reversed(self.made.values())), text

    async def all(self) -> Sequence[ApiToken]:
        """Return all."""
        return list(self.made.values())

    async def revoke(self, token_id: str) -> None:
        """Forget one."""
        if self.made.pop(token_id, None) is None:
            raise TokenNotFoundError("no such token", token_id=token_id)
