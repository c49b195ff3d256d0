"""The feed: nothing is left out when Redis fails half-way, and one token does not take everybody's place."""

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Any

import pytest

from daemon.coordinator.feed import Feed
from daemon.core.errors import RedisUnavailableError, TooManyFollowersError
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


def feed(log: _Log, followers_max: int = 9) -> Feed:
    made: Any = log
    return Feed(made, asyncio.Event(), followers_max=followers_max)


async def test_what_was_read_while_redis_failed_is_read_again() -> None:
    feeding = feed(_Log(failures=2))
    async with feeding.follow("5-0", token_id=None) as follower:
        with pytest.raises(RedisUnavailableError):
            await feeding.next(follower)
        assert follower.last_id == "5-0"
        found = await feeding.next(follower)
        assert (len(found or ()), follower.last_id, follower.gap) == (100, "105-0", False)


@pytest.mark.parametrize(("followers_max", "for_one"), [(0, 0), (1, 1), (2, 1), (3, 1), (10, 5)])
async def test_one_token_has_half_of_the_places_and_the_operator_all(followers_max: int, for_one: int) -> None:
    for token_id, most in (("t", for_one), (None, followers_max)):
        feeding = feed(_Log(), followers_max)
        for _ in range(2):  # a place is given back
            async with contextlib.AsyncExitStack() as open_:
                for _ in range(most):
                    await open_.enter_async_context(feeding.follow(None, token_id=token_id))
                with pytest.raises(TooManyFollowersError):
                    await open_.enter_async_context(feeding.follow(None, token_id=token_id))
