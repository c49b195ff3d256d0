"""The feed: nothing is left out when Redis fails half-way."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from daemon.coordinator.feed import Feed
from daemon.core.errors import RedisUnavailableError
from daemon.registry.event_log import Logged


class _Log:
    """A log of 100 events behind 5-0, which cannot say for so many times where it begins."""

    def __init__(self, failures: int = 0) -> None:
        self._failures = failures

    async def newest(self) -> str:
        return "105-0"

    async def oldest(self) -> str | None:
        self._failures -= 1
        if self._failures == 0:
            raise RedisUnavailableError("gone")
        return "5-0"

    async def after(self, entry_id: str, *, count: int) -> tuple[Sequence[Logged], str]:
        event: Any = None
        return [Logged(entry_id=f"{number}-0", event=event) for number in range(6, 106)], "105-0"


def feed(log: _Log) -> Feed:
    made: Any = log
    return Feed(made, asyncio.Event(), followers_max=9)


async def test_what_was_read_while_redis_failed_is_read_again() -> None:
    feeding = feed(_Log(failures=2))
    async with feeding.follow("5-0") as follower:
        with pytest.raises(RedisUnavailableError):
            await feeding.next(follower)
        assert follower.last_id == "5-0"
        found = await feeding.next(follower)
        assert (len(found or ()), follower.last_id, follower.gap) == (100, "105-0", False)
