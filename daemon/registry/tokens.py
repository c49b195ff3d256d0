"""API tokens in Redis, by their ids; the bucket has a copy, because people cannot make them again by themselves."""

from collections.abc import Mapping

import structlog

from daemon.core.errors import DamagedError
from daemon.core.tokens import ApiToken, token_from_text, token_to_text
from daemon.registry import keys
from daemon.registry.link import RedisLink

log = structlog.get_logger()

_SYNCED = "synced"
"""A field that no token has: the id of the bucket that the tokens were compared with last; none while Redis is new."""


class Tokens:
    """The tokens of this installation."""

    def __init__(self, link: RedisLink) -> None:
        self._link = link

    async def all(self) -> Mapping[str, ApiToken] | None:
        """Return all tokens by id, also revoked ones; None while Redis is new and the bucket was not asked yet.

        Raises:
            RedisUnavailableError: nobody knows.
        """
        async with self._link.asking("read tokens"):
            found: dict[str, str] = await self._link.text.hgetall(keys.TOKENS)
        if found.pop(_SYNCED, None) is None:
            return None
        return _parsed(found)

    async def known(self) -> Mapping[str, ApiToken]:
        """Return what Redis has, whether the bucket was asked or not."""
        async with self._link.asking("read tokens"):
            found: dict[str, str] = await self._link.text.hgetall(keys.TOKENS)
        found.pop(_SYNCED, None)
        return _parsed(found)

    async def put(self, token: ApiToken) -> None:
        """Write one token."""
        async with self._link.asking("write a token"):
            await self._link.text.hset(keys.TOKENS, token.token_id, token_to_text(token))

    async def drop(self, token_id: str) -> None:
        """Forget one token."""
        async with self._link.asking("forget a token"):
            await self._link.text.hdel(keys.TOKENS, token_id)

    async def synced(self) -> str | None:
        """Return the id of the bucket that Redis had the tokens of; None while Redis is new."""
        async with self._link.asking("read the state of tokens"):
            found: str | None = await self._link.text.hget(keys.TOKENS, _SYNCED)
        return found

    async def set_synced(self, bucket_id: str) -> None:
        """Note that Redis has what the bucket of this id has."""
        async with self._link.asking("note the state of tokens"):
            await self._link.text.hset(keys.TOKENS, _SYNCED, bucket_id)


def _parsed(found: Mapping[str, str]) -> dict[str, ApiToken]:
    tokens = {}
    for token_id, text in found.items():
        try:
            tokens[token_id] = token_from_text(text)
        except DamagedError:
            log.error("a token cannot be read and does not work", token_id=token_id)
    return tokens
