"""The feed: the event log for those who follow it over HTTP.

One blocking read finds out that something came, whoever follows; each follower then reads on from its own place. So one
that reads slowly keeps nobody waiting, nothing is kept for it in memory, and nothing is left out.
"""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

import structlog

from daemon.core.errors import EventIdUnknownError, RedisUnavailableError, TooManyFollowersError
from daemon.core.loops import first_done, sleep_or_stop
from daemon.registry.event_log import EventLog, Logged, entry_order

log = structlog.get_logger()

_BLOCK_MS = 1000
_RETRY_S = 0.5
_AT_ONCE = 100
_BEGINNING = "0"
"""Wherever the log begins: nothing is missed before it."""


@dataclass
class Follower:
    """One who follows the feed, and its place in the log."""

    last_id: str
    gap: bool
    """Events behind the place where it wanted to go on are gone."""


class Feed:
    """The events as they come, for up to `followers_max` followers; half of them, if there are two, for one token."""

    def __init__(self, event_log: EventLog, stop: asyncio.Event, *, followers_max: int) -> None:
        self._log = event_log
        self._stop = stop
        self._followers_max = followers_max
        self._followers: Counter[str | None] = Counter()
        self._wanted = asyncio.Event()
        self._newest = "0-0"
        self._came = asyncio.Event()

    async def run(self) -> None:
        """Look for news while somebody follows, until the coordinator stops."""
        failing = False
        while not self._stop.is_set():
            if not self._followers:
                self._wanted.clear()
                await first_done(self._wanted.wait(), self._stop.wait())
                continue
            try:
                await self._look()
                failing = False
            except RedisUnavailableError as error:
                if not failing:
                    log.warning("the event feed waits for Redis", code=error.code)
                failing = True
                await sleep_or_stop(_RETRY_S, self._stop)
        self._came.set()

    async def _look(self) -> None:
        _, at = await self._log.wait(self._newest, count=_AT_ONCE, block_ms=_BLOCK_MS)
        if at != self._newest:
            self._newest = at
            self._came.set()
            self._came = asyncio.Event()

    @contextlib.asynccontextmanager
    async def follow(self, last_id: str | None, *, token_id: str | None) -> AsyncIterator[Follower]:
        """Give a follower of what comes behind `last_id`; None: from now on.

        `token_id` is whose place it takes; None: the operator's, who may take what is left.

        Raises:
            TooManyFollowersError: as many follow as may.
            EventIdUnknownError: `last_id` is no id.
            RedisUnavailableError: nobody knows.
        """
        self._check_room(token_id)
        self._followers[token_id] += 1
        try:
            follower = await self._begin(last_id)
            self._wanted.set()
            yield follower
        finally:
            self._followers -= Counter([token_id])  # which leaves out those that have none any more

    def _check_room(self, token_id: str | None) -> None:
        if self._followers.total() >= self._followers_max:
            raise TooManyFollowersError("as many follow the events as may", hint="EVENT_FOLLOWERS_MAX sets the limit")
        if token_id is not None and self._followers[token_id] >= max(1, self._followers_max // 2):
            raise TooManyFollowersError(
                "this token follows the events as often as it may", hint="one token has half of EVENT_FOLLOWERS_MAX"
            )

    async def _begin(self, last_id: str | None) -> Follower:
        newest = await self._log.newest()
        if self._followers.total() == 1:
            self._newest = newest
        if last_id is None:
            return Follower(newest, gap=False)
        try:
            wanted = entry_order(last_id)
        except ValueError:
            raise EventIdUnknownError(
                "this is not the id of an event", hint="send the `id` of an event as it came", field="last_event_id"
            ) from None
        if wanted > entry_order(newest):
            return Follower(newest, gap=True)  # of a log that Redis lost
        return Follower(last_id, gap=await self._gone(last_id))

    async def _gone(self, place: str) -> bool:
        """Whether events behind a place are gone."""
        if place == _BEGINNING:
            return False
        oldest = await self._log.oldest()
        if oldest is None or entry_order(place) >= entry_order(oldest):
            return False
        # Whoever came when the log was empty was told 0-0, and has missed nothing as long as it is whole.
        return entry_order(place) != (0, 0) or not await self._log.whole()

    async def next(self, follower: Follower) -> Sequence[Logged] | None:
        """Return the next events of a follower; an empty list while there are none, None once the coordinator stops.

        Raises:
            RedisUnavailableError: ask again.
        """
        if self._stop.is_set():
            return None
        came, place = self._came, follower.last_id
        found, at = await self._log.after(place, count=_AT_ONCE)
        if len(found) == _AT_ONCE:  # it is far behind, perhaps further than the log reaches
            follower.gap |= await self._gone(place)
        # Last: if Redis does not answer, what was found is asked for again.
        follower.last_id = at
        if not found:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_BLOCK_MS / 1000):
                    await came.wait()
        return found
