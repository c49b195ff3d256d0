"""Asking Redis, the object store and the shards for health, within a time limit and not more often than is useful.

Open routes end here, so nobody outside may cause more than one call at a time, nor a billed call to the object
store more than once in a while.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from daemon.api.ports import ObjectStoreHealth, RedisHealth, SessionDirectory
from daemon.core.clock import mono_s
from daemon.core.errors import BlazzError

Answer = TypeVar("Answer")

_STORE_MAX_AGE_S = 30.0


@dataclass(frozen=True, kw_only=True)
class ShardCount:
    """How many shards live."""

    alive: int
    total: int


class Probe(Generic[Answer]):
    """One question, asked once for all who wait for the answer at the same time."""

    def __init__(self, ask: Callable[[], Awaitable[Answer]]) -> None:
        self._ask = ask
        self._running: asyncio.Task[Answer | None] | None = None
        self._answer: Answer | None = None
        self._answered_mono_s = float("-inf")

    async def answer(self, *, limit_s: float, max_age_s: float = 0.0) -> Answer | None:
        """Return an answer at most `max_age_s` old, or None when there is none within `limit_s`."""
        if mono_s() - self._answered_mono_s < max_age_s:
            return self._answer
        if self._running is None or self._running.done():
            self._running = asyncio.create_task(self._run())
        try:
            async with asyncio.timeout(limit_s):
                return await asyncio.shield(self._running)
        except TimeoutError:
            return None

    async def _run(self) -> Answer | None:
        try:
            self._answer = await self._ask()
        except BlazzError:
            self._answer = None
        self._answered_mono_s = mono_s()
        return self._answer


class Probes:
    """The three questions."""

    def __init__(self, directory: SessionDirectory, *, limit_s: float = 3.0) -> None:
        self._limit_s = limit_s
        self._directory = directory
        self._redis = Probe[RedisHealth](directory.check_redis)
        self._store = Probe[ObjectStoreHealth](directory.check_object_store)
        self._shards = Probe[ShardCount](self._count)

    async def redis(self) -> RedisHealth | None:
        """Return what Redis answered; None when nothing came in time."""
        return await self._redis.answer(limit_s=self._limit_s)

    async def store(self, *, fresh: bool) -> ObjectStoreHealth | None:
        """Return what the object store answered, up to 30 seconds old unless `fresh`; None: nothing in time."""
        return await self._store.answer(limit_s=self._limit_s, max_age_s=0.0 if fresh else _STORE_MAX_AGE_S)

    async def shards(self) -> ShardCount | None:
        """Return how many shards live; None when nobody could say."""
        return await self._shards.answer(limit_s=self._limit_s)

    async def _count(self) -> ShardCount:
        views = await self._directory.shards()
        return ShardCount(alive=sum(view.alive for view in views), total=len(views))
