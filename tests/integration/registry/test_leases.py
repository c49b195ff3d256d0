"""Leases: one holder, tokens that only grow, and nothing believed longer than Redis believes it."""

import asyncio
import time

import pytest

from daemon.core.errors import LeaseHeldError, RedisUnavailableError
from daemon.core.sections import RedisSettings
from daemon.registry import keys
from daemon.registry.leases import Lease, Leases, Renewal
from daemon.registry.link import RedisLink
from tests.integration.registry.conftest import LEASE_TTL_MS, Rooms


async def until_free(rooms: Rooms) -> None:
    deadline = time.monotonic() + 5
    while await rooms.leases.held(["s"]):
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)


async def test_of_many_who_ask_one_gets_it(rooms: Rooms) -> None:
    answers = await asyncio.gather(
        *(rooms.leases.acquire("s", f"shard_{i}", floor=0) for i in range(20)), return_exceptions=True
    )
    assert sum(isinstance(answer, Lease) for answer in answers) == 1
    assert all(isinstance(answer, Lease | LeaseHeldError) for answer in answers)


async def test_tokens_grow_with_every_holder_and_survive_release_and_expiry(rooms: Rooms) -> None:
    first = await rooms.leases.acquire("s", "a", floor=0)
    await rooms.leases.release(first)
    second = await rooms.leases.acquire("s", "b", floor=0)
    await until_free(rooms)
    third = await rooms.leases.acquire("s", "c", floor=0)
    assert first.token < second.token < third.token


async def test_who_is_held_by_another_is_told_who_holds(rooms: Rooms) -> None:
    await rooms.leases.acquire("s", "shard_00:x:1", floor=0)
    with pytest.raises(LeaseHeldError) as raised:
        await rooms.leases.acquire("s", "shard_01:x:1", floor=0)
    assert raised.value.ids["holder"] == "shard_00:x:1"


async def test_a_dead_process_of_our_own_name_is_followed_at_once_and_no_other(rooms: Rooms) -> None:
    old = await rooms.leases.acquire("s", "shard_00:install:1", floor=0)
    with pytest.raises(LeaseHeldError):
        await rooms.leases.acquire("s", "shard_00:other:2", floor=0, dead_prefix="shard_00:other:")
    new = await rooms.leases.acquire("s", "shard_00:install:2", floor=0, dead_prefix="shard_00:install:")
    assert new.token > old.token
    assert await rooms.leases.renew([old, new]) == [Renewal.LOST, Renewal.KEPT]
    assert not await rooms.leases.release(old)
    assert await rooms.leases.held(["s"]) == {"s"}


async def test_renewing_keeps_it_past_the_ttl(rooms: Rooms) -> None:
    lease = await rooms.leases.acquire("s", "a", floor=0)
    for _ in range(4):
        await asyncio.sleep(LEASE_TTL_MS / 1000 / 3)
        assert await rooms.leases.renew([lease]) == [Renewal.KEPT]
    assert await rooms.leases.held(["s"]) == {"s"}


async def test_one_that_ran_out_is_taken_again_only_if_nobody_else_was_given_a_token(rooms: Rooms) -> None:
    lease = await rooms.leases.acquire("s", "a", floor=0)
    await until_free(rooms)
    assert await rooms.leases.renew([lease]) == [Renewal.KEPT]
    await until_free(rooms)
    other = await rooms.leases.acquire("s", "b", floor=0)
    await rooms.leases.release(other)
    assert await rooms.leases.renew([lease]) == [Renewal.LOST]


async def test_the_token_has_no_ttl(rooms: Rooms) -> None:
    await rooms.leases.acquire("s", "a", floor=0)
    assert await rooms.link.text.pttl(keys.token("s")) == -1


async def test_a_redis_that_does_not_answer_is_nobody_knows() -> None:
    async with RedisLink(RedisSettings(REDIS_URL="redis://:pass-word@127.0.0.1:1/0", REDIS_TIMEOUT_MS=200)) as link:
        with pytest.raises(RedisUnavailableError) as raised:
            await Leases(link, ttl_ms=1000).acquire("s", "a")
    assert "pass-word" not in str(raised.value)
