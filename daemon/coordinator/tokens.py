"""API tokens: made, listed, revoked and looked up for each request.

The bucket has the tokens that are meant to work; Redis has them for every coordinator, and is brought in line by the
leader when it is new. A revoked token stays in Redis as revoked until the bucket has forgotten it, so that it cannot
come back from there. A bucket that was not compared before, and an object that cannot be read, say nothing about
revocations: what Redis has is written there.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import structlog

from daemon.coordinator.leader import Leadership
from daemon.core.clock import mono_s, utc_now
from daemon.core.errors import DamagedError, RedisUnavailableError, TokenNotFoundError, UnavailableError
from daemon.core.ids import new_id
from daemon.core.tokens import ApiToken, Scope, digest_of, id_in, new_token
from daemon.objectstore.archives import Archives
from daemon.registry.registry import Registry

log = structlog.get_logger()

_FRESH_S = 3.0
_AGAIN_S = 0.5
_STALE_S = 900.0
_SYNC_S = 3600.0
_REMEMBERED = timedelta(days=30)


class TokenDesk:
    """The tokens as one coordinator knows them: at most 3 s old, or as they were last known while Redis is away."""

    def __init__(self, registry: Registry, archives: Archives) -> None:
        self._registry = registry
        self._archives = archives
        self._known: Mapping[str, ApiToken] = {}
        self._read_mono_s = -_STALE_S
        self._failed_mono_s = -_STALE_S
        self._reading = asyncio.Lock()

    async def find(self, text: str) -> ApiToken | None:
        """Return the token that `text` is, if it works.

        Raises:
            UnavailableError: nobody knows whether there is such a token.
        """
        token_id = id_in(text)
        if token_id is None:
            return None
        tokens = await self._tokens(wanted=token_id)
        token = tokens.get(token_id)
        if token is None or not token.is_made_of(text) or not token.works(utc_now()):
            return None
        return token

    async def works(self, token_id: str) -> bool:
        """Whether a token that was let in before still works; False, too, when nobody has known for long."""
        try:
            token = (await self._tokens(wanted=token_id)).get(token_id)
        except UnavailableError:
            return False
        return token is not None and token.works(utc_now())

    async def _tokens(self, *, wanted: str) -> Mapping[str, ApiToken]:
        age_s = mono_s() - self._read_mono_s
        if age_s < (_FRESH_S if wanted in self._known else _AGAIN_S):
            return self._known
        async with self._reading:
            if mono_s() - self._read_mono_s < _AGAIN_S:
                return self._known
            try:
                self._known = await self._read()
                self._read_mono_s = mono_s()
            except RedisUnavailableError:
                # Unreachable is not absent: whoever was let in before is let in for a while.
                if wanted not in self._known or age_s > _STALE_S:
                    raise
        return self._known

    async def _read(self) -> Mapping[str, ApiToken]:
        if mono_s() - self._failed_mono_s < _AGAIN_S:
            # Whoever waited for the lock does not wait for Redis as well, one after another.
            raise RedisUnavailableError("Redis did not give the tokens a moment ago")
        asked_mono_s = mono_s()
        try:
            return await self._all()
        except RedisUnavailableError:
            if mono_s() - asked_mono_s >= _AGAIN_S:
                self._failed_mono_s = mono_s()
            raise

    async def _all(self) -> Mapping[str, ApiToken]:
        """Return all tokens by id. Raises RedisUnavailableError, also while Redis is new."""
        found = await self._registry.tokens.all()
        if found is None:
            raise RedisUnavailableError("Redis is new and has not got the tokens back from the bucket yet")
        return found

    async def create(
        self,
        *,
        name: str,
        scopes: frozenset[Scope],
        workspaces: frozenset[str] | None,
        expires_at: datetime | None,
    ) -> tuple[ApiToken, str]:
        """Make a token; return what is known of it, and the token, which nobody can be told again.

        Raises:
            ObjectStoreUnavailableError, RedisUnavailableError: there may be a token that nobody knows; make another.
        """
        token_id, text = new_token()
        token = ApiToken(
            token_id=token_id,
            digest=digest_of(text),
            name=name,
            scopes=scopes,
            workspaces=workspaces,
            created_at=utc_now(),
            expires_at=expires_at,
        )
        await self._archives.put_token(token)
        await self._registry.tokens.put(token)
        limits = None if workspaces is None else sorted(workspaces)
        log.info("token made", token_id=token_id, scopes=sorted(map(str, scopes)), workspaces=limits)
        return token, text

    async def all(self) -> Sequence[ApiToken]:
        """Return every token that is not revoked, the oldest first."""
        found = (await self._all()).values()
        return sorted((token for token in found if token.revoked_at is None), key=lambda token: token.created_at)

    async def revoke(self, token_id: str) -> None:
        """Have a token work no more: here at once, at other coordinators within 3 s.

        Raises:
            TokenNotFoundError: there is none of this id.
            UnavailableError: it works no more, but is still in the bucket; the leader goes on removing it.
        """
        token = (await self._all()).get(token_id)
        if token is None:
            raise TokenNotFoundError("no such token", token_id=token_id)
        if token.revoked_at is None:
            await self._registry.tokens.put(replace(token, revoked_at=utc_now()))
            log.info("token revoked", token_id=token_id)
        self._read_mono_s = -_STALE_S
        await self._archives.drop_token(token_id)


class TokenKeeper:
    """Brings Redis in line with the bucket; the leader's work."""

    def __init__(self, registry: Registry, archives: Archives, leadership: Leadership) -> None:
        self._registry = registry
        self._archives = archives
        self._leadership = leadership
        self._epoch_id: str | None = None
        self._dropped: set[str] = set()
        self._done_mono_s = -_SYNC_S

    async def cycle(self) -> None:
        """Compare, if this coordinator leads and Redis is new or the last time is an hour ago.

        What was revoked while the bucket did not answer is removed from it at each call until it is gone: if Redis
        lost its data before that, the token would come back.

        Raises:
            UnavailableError: a store; the next call begins anew.
        """
        if not self._leadership.leading:
            self._epoch_id = None
            self._dropped.clear()
            return
        epoch = await self._registry.epochs.read()
        await self._drop_revoked()
        if epoch.epoch_id == self._epoch_id and mono_s() - self._done_mono_s < _SYNC_S:
            return
        await self._compare()
        self._epoch_id, self._done_mono_s = epoch.epoch_id, mono_s()

    async def _compare(self) -> None:
        bucket_id = await self._bucket_id()
        familiar = bucket_id is not None and bucket_id == await self._registry.tokens.synced()
        # In this order: a token that is being made is in the bucket before it is in Redis.
        known = await self._registry.tokens.known()
        kept, damaged = await self._kept()
        await self._bring_back([token for token_id, token in kept.items() if token_id not in known])
        # Any other token that the bucket does not have was revoked.
        unsaid = damaged if familiar else known.keys() - kept.keys()
        await self._write_again([token for token_id, token in known.items() if token_id in unsaid])
        for token_id, token in known.items():
            await self._settle(token, kept=token_id in kept or token_id in unsaid)
        if bucket_id is None:
            bucket_id = new_id("bucket")
            await self._archives.put_bucket_id(bucket_id)
        await self._registry.tokens.set_synced(bucket_id)

    async def _bring_back(self, tokens: Sequence[ApiToken]) -> None:
        for token in tokens:
            await self._registry.tokens.put(token)
        if tokens:
            log.info("tokens are back from the bucket", tokens=len(tokens))

    async def _write_again(self, tokens: Sequence[ApiToken]) -> None:
        """Write to the bucket what Redis has of tokens about which the bucket says nothing."""
        for token in tokens:
            if token.revoked_at is None:
                await self._archives.put_token(token)
                log.warning("a token is written to the bucket again", token_id=token.token_id)

    async def _drop_revoked(self) -> None:
        for token_id, token in (await self._registry.tokens.known()).items():
            if token.revoked_at is not None and token_id not in self._dropped:
                await self._archives.drop_token(token_id)
                self._dropped.add(token_id)

    async def _settle(self, token: ApiToken, *, kept: bool) -> None:
        if token.revoked_at is not None and kept:
            await self._archives.drop_token(token.token_id)
        elif token.revoked_at is not None and utc_now() - token.revoked_at > _REMEMBERED:
            await self._registry.tokens.drop(token.token_id)
        elif token.revoked_at is None and not kept:
            # Revoked in seconds that Redis lost. One that is just being made is in the bucket first.
            log.warning("a token that the bucket does not have works no more", token_id=token.token_id)
            await self._registry.tokens.put(replace(token, revoked_at=utc_now()))

    async def _kept(self) -> tuple[dict[str, ApiToken], set[str]]:
        """Return the tokens in the bucket, and the ids of those that are there and cannot be read."""
        found, damaged = {}, set()
        async for token_id in self._archives.token_ids():
            try:
                token = await self._archives.get_token(token_id)
            except DamagedError:
                log.error("a token in the bucket cannot be read", token_id=token_id)
                damaged.add(token_id)
                continue
            if token is not None:
                found[token_id] = token
        return found, damaged

    async def _bucket_id(self) -> str | None:
        """Return the bucket's id; None when it has none that can be read."""
        try:
            return await self._archives.get_bucket_id()
        except DamagedError as error:
            log.error("the bucket gets another id", code=error.code, message=error.message)
            return None
