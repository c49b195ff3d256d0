"""Redis loses data: nobody is granted what another may still hold, tokens go on above, holders write again."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from typing import Any

import pytest
from pydantic import SecretStr

from daemon.core.clock import iso, parse_iso, utc_now
from daemon.core.errors import (
    LeaseHeldError,
    RedisLostDataError,
    RedisUnavailableError,
    SessionNotFoundError,
    StaleTokenError,
    TokenUnprovenError,
)
from daemon.core.sections import RedisSettings
from daemon.registry.leases import Lease, Leases, Renewal
from daemon.registry.link import RedisLink
from daemon.sessions.record import CopyFacts, SessionRecord
from daemon.sessions.states import Desired, SessionState
from tests.integration.registry.conftest import LEASE_TTL_MS, Rooms
from tests.servers.redis_losing import LosingRedis, losing_redis


@pytest.fixture
def server() -> Iterator[LosingRedis]:
    with losing_redis() as server:
        yield server


@pytest.fixture
async def rooms(server: LosingRedis) -> AsyncIterator[Rooms]:
    async with RedisLink(RedisSettings(REDIS_URL=SecretStr(server.url), REDIS_TIMEOUT_MS=2000)) as link:
        yield Rooms(link)


NOW = parse_iso(iso(utc_now()))
"""To the millisecond, as Redis keeps it."""


def record(**fields: object) -> SessionRecord:
    made = {"session_id": "s", "workspace_id": "1", "user_id": "2", "created_at": NOW, "status_at": NOW}
    return SessionRecord(**(made | fields))  # type: ignore[arg-type]


async def patiently(rooms: Rooms, holder: str, floor: int) -> tuple[Lease, float]:
    """Ask until it is granted; return the lease and how long that took in seconds."""
    began = time.monotonic()
    while True:
        try:
            return await rooms.leases.acquire("s", holder, floor=floor), time.monotonic() - began
        except RedisLostDataError:
            assert time.monotonic() - began < 15
            await asyncio.sleep(0.02)


async def test_a_new_session_on_a_new_redis_waits_for_nothing(rooms: Rooms) -> None:
    with pytest.raises(TokenUnprovenError):
        await rooms.leases.acquire("s", "a")
    assert (await rooms.leases.acquire("s", "a", floor=0)).token == 1


async def test_an_emptied_redis_gives_the_lease_back_to_who_holds_it(rooms: Rooms, server: LosingRedis) -> None:
    lease = await rooms.leases.acquire("s", "a", floor=0)
    server.client.flushall()
    assert await rooms.leases.renew([lease]) == [Renewal.REGAINED]
    with pytest.raises(LeaseHeldError):
        await rooms.leases.acquire("s", "b", floor=lease.token)
    assert await rooms.leases.known_token("s") == lease.token


async def test_a_holder_is_told_of_a_loss_until_it_has_written_its_record(rooms: Rooms, server: LosingRedis) -> None:
    mine = record(token=1)
    await rooms.records.create(mine)
    lease = await rooms.leases.acquire("s", "a", floor=0)
    server.client.flushall()
    # As if a timeout had cut off the first answer; meanwhile the session was found in the bucket.
    assert await rooms.leases.renew([lease]) == [Renewal.REGAINED]
    await rooms.records.create(record(reason="recovered"))
    assert await rooms.leases.renew([lease]) == [Renewal.REGAINED]
    await rooms.records.regain(replace(mine, status=SessionState.CONNECTED), lease.token)
    assert await rooms.leases.renew([lease]) == [Renewal.KEPT]
    assert (await rooms.records.get("s")).status is SessionState.CONNECTED


async def test_a_record_that_was_written_again_is_seen_although_its_holder_never_hears_of_it(
    rooms: Rooms, server: LosingRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = record(token=1, shard="shard_00")
    await rooms.records.create(mine)
    lease = await rooms.leases.acquire("s", "a", floor=0)
    server.client.flushall()
    assert await rooms.leases.renew([lease]) == [Renewal.REGAINED]
    run = rooms.link.run

    async def answer_lost(name: str, *arguments: Any) -> Any:
        await run(name, *arguments)
        raise RedisUnavailableError("the answer got lost")

    with monkeypatch.context() as patched:
        patched.setattr(rooms.link, "run", answer_lost)
        with pytest.raises(RedisUnavailableError):
            await rooms.records.regain(mine, lease.token)
    assert [found.session_id for found in await rooms.records.all()] == ["s"]
    assert [found.session_id for found in await rooms.records.placed_on("shard_00")] == ["s"]


async def test_what_is_written_again_too_late_changes_nothing(rooms: Rooms, server: LosingRedis) -> None:
    mine = record(token=1, status=SessionState.QR)
    lease = await rooms.leases.acquire("s", "a", floor=0)
    server.client.flushall()
    await rooms.leases.renew([lease])
    await rooms.records.regain(mine, lease.token)
    await rooms.records.write_held("s", lease.token, {"status": SessionState.CONNECTED})
    await rooms.records.regain(mine, lease.token)  # cut off by a timeout, and carried out now
    assert (await rooms.records.get("s")).status is SessionState.CONNECTED
    await rooms.leases.mark_lost(lease)  # Redis fell back within the run
    assert await rooms.leases.renew([lease]) == [Renewal.REGAINED]
    await rooms.records.regain(mine, lease.token)
    assert (await rooms.records.get("s")).status is SessionState.QR


async def test_an_emptied_redis_grants_nothing_for_one_ttl_and_then_a_token_far_above_the_archives(
    rooms: Rooms, server: LosingRedis
) -> None:
    lost = await rooms.leases.acquire("s", "a", floor=0)
    flushed_mono_s = time.monotonic()
    server.client.flushall()
    with pytest.raises(TokenUnprovenError):
        await rooms.leases.acquire("s", "b")
    with pytest.raises(RedisLostDataError):
        await rooms.leases.acquire("s", "b", floor=41)
    lease, _ = await patiently(rooms, "b", 41)
    assert lease.token > 41 + 100
    assert time.monotonic() - flushed_mono_s > 0.8 * LEASE_TTL_MS / 1000
    assert await rooms.leases.renew([lost]) == [Renewal.LOST]


async def test_a_redis_that_fell_back_gives_no_token_twice(rooms: Rooms, server: LosingRedis) -> None:
    first = await rooms.leases.acquire("s", "a", floor=0)
    await rooms.leases.release(first)
    server.keep()
    forgotten = await rooms.leases.acquire("s", "b")
    server.fall_back()
    with pytest.raises(TokenUnprovenError):
        await rooms.leases.acquire("s", "c")
    lease, _ = await patiently(rooms, "c", 0)
    assert lease.token > forgotten.token + 100
    assert await rooms.leases.renew([forgotten]) == [Renewal.LOST]


async def test_a_redis_that_fell_back_gives_the_lease_back_to_who_holds_it(rooms: Rooms, server: LosingRedis) -> None:
    first = await rooms.leases.acquire("s", "a", floor=0)
    server.keep()
    await rooms.leases.release(first)
    second = await rooms.leases.acquire("s", "b")
    server.fall_back()
    # The old state even names the wrong holder.
    assert await rooms.leases.renew([second]) == [Renewal.REGAINED]
    assert await rooms.leases.renew([first]) == [Renewal.LOST]
    with pytest.raises(LeaseHeldError) as raised:
        await rooms.leases.acquire("s", "c", floor=0)
    assert raised.value.ids["holder"] == "b"


async def test_a_restart_without_loss_keeps_leases_and_asks_once_more_for_the_floor(
    rooms: Rooms, server: LosingRedis
) -> None:
    lease = await rooms.leases.acquire("s", "a", floor=0)
    server.restart()
    assert await rooms.leases.renew([lease]) == [Renewal.KEPT]
    await rooms.leases.release(lease)
    later, _ = await patiently(rooms, "b", 0)
    await rooms.leases.release(later)
    assert (await rooms.leases.acquire("s", "c")).token == later.token + 1


async def test_the_dead_process_of_our_own_name_is_not_followed_at_once_by_what_a_fallen_back_redis_says(
    rooms: Rooms, server: LosingRedis
) -> None:
    await rooms.leases.acquire("s", "shard_00:x:1", floor=0)
    server.restart()
    with pytest.raises((RedisLostDataError, RedisUnavailableError)):
        await rooms.leases.acquire("s", "shard_00:x:2", floor=0, dead_prefix="shard_00:x:")


async def test_what_the_record_said_of_copies_is_forgotten_once_it_may_be_old(
    rooms: Rooms, server: LosingRedis
) -> None:
    facts = CopyFacts(at=NOW, size_bytes=1, token=1, generation=1, clean=True, content_digest="d", key="k")
    await rooms.records.create(record(archive=facts, archive_begun=(1, 1), hot_copy=facts))
    lease = await rooms.leases.acquire("s", "a", floor=0)
    await rooms.leases.release(lease)
    assert (await rooms.records.get("s")).archive == facts
    server.restart()
    await patiently(rooms, "b", 1)
    kept = await rooms.records.get("s")
    assert (kept.archive, kept.archive_begun, kept.hot_copy) == (None, None, None)


async def test_a_holder_whose_token_is_lost_is_not_told_that_its_session_was_deleted(
    rooms: Rooms, server: LosingRedis
) -> None:
    facts = CopyFacts(at=NOW, size_bytes=1, token=1, generation=1, clean=True, content_digest="d", key="k")
    await rooms.records.create(record())
    lease = await rooms.leases.acquire("s", "a", floor=0)
    server.client.flushall()
    for _ in range(2):
        with pytest.raises(RedisLostDataError):
            await rooms.records.write_held("s", lease.token, {"status": SessionState.CONNECTED})
        with pytest.raises(RedisLostDataError):
            await rooms.copies.put("s", lease.token, b"x", facts)
        with pytest.raises(RedisLostDataError):
            await rooms.copies.drop_held("s", lease.token)
        # Its token is back before its record is: what it writes in between proves nothing either.
        await rooms.leases.renew([lease])
    await rooms.records.regain(record(), lease.token)
    await rooms.records.write_held("s", lease.token, {"status": SessionState.CONNECTED})
    assert (await rooms.records.get("s")).status is SessionState.CONNECTED


async def test_a_holder_whose_record_alone_is_gone_is_told_that_its_session_was_deleted(rooms: Rooms) -> None:
    facts = CopyFacts(at=NOW, size_bytes=1, token=1, generation=1, clean=True, content_digest="d", key="k")
    await rooms.records.create(record(desired=Desired.DELETED))
    lease = await rooms.leases.acquire("s", "a", floor=0)
    await rooms.leases.release(lease)
    await rooms.records.forget("s")
    with pytest.raises(SessionNotFoundError):
        await rooms.records.write_held("s", lease.token, {"status": SessionState.CONNECTED})
    with pytest.raises(SessionNotFoundError):
        await rooms.copies.put("s", lease.token, b"x", facts)
    with pytest.raises(SessionNotFoundError):
        await rooms.copies.drop_held("s", lease.token)


async def test_a_holder_writes_a_lost_record_again_whole_with_its_place(rooms: Rooms, server: LosingRedis) -> None:
    mine = record(shard="shard_07", serial=3, status=SessionState.CONNECTED, paired=True, metadata={"a": "b"})
    await rooms.records.create(mine)
    lease = await rooms.leases.acquire("s", "a", floor=0)
    server.client.flushall()
    with pytest.raises(RedisLostDataError):
        await rooms.records.regain(mine, lease.token)
    await rooms.leases.renew([lease])
    await rooms.records.regain(mine, lease.token)
    assert await rooms.records.placed_on("shard_07") == [mine]
    assert await rooms.records.all() == [mine]


@pytest.mark.parametrize(("serial", "desired"), [(2, Desired.RUNNING), (3, Desired.STOPPED), (4, Desired.STOPPED)])
async def test_of_a_record_that_is_there_only_an_older_wish_is_written_over(
    rooms: Rooms, serial: int, desired: Desired
) -> None:
    await rooms.records.create(record(serial=serial, desired=Desired.STOPPED))
    lease = await rooms.leases.acquire("s", "a", floor=0)
    await rooms.leases.mark_lost(lease)
    await rooms.records.regain(record(serial=3, status=SessionState.CONNECTED), lease.token)
    kept = await rooms.records.get("s")
    assert (kept.desired, kept.status) == (desired, SessionState.CONNECTED)


async def test_a_stale_holder_writes_no_record_again(rooms: Rooms) -> None:
    await rooms.records.create(record())
    old = await rooms.leases.acquire("s", "x:1", floor=0)
    await rooms.leases.acquire("s", "x:2", dead_prefix="x:")
    with pytest.raises(StaleTokenError):
        await rooms.records.regain(record(status=SessionState.CONNECTED), old.token)


async def test_a_new_process_learns_the_same_epoch(rooms: Rooms, server: LosingRedis) -> None:
    lease = await rooms.leases.acquire("s", "a", floor=0)
    await rooms.leases.release(lease)
    async with RedisLink(RedisSettings(REDIS_URL=SecretStr(server.url), REDIS_TIMEOUT_MS=2000)) as link:
        assert (await Leases(link, ttl_ms=LEASE_TTL_MS).acquire("s", "b")).token == lease.token + 1


async def test_even_a_session_that_nobody_saw_waits_when_others_know_that_data_was_lost(
    rooms: Rooms, server: LosingRedis
) -> None:
    await rooms.leases.acquire("other", "a", floor=0)
    server.client.flushall()
    # Its holder may be cut off, and no archive may tell of it.
    with pytest.raises(RedisLostDataError):
        await rooms.leases.acquire("s", "b", floor=0)
    async with RedisLink(RedisSettings(REDIS_URL=SecretStr(server.url), REDIS_TIMEOUT_MS=2000)) as link:
        with pytest.raises(RedisLostDataError):
            await Leases(link, ttl_ms=LEASE_TTL_MS).acquire("s", "newcomer", floor=0)
    lease, _ = await patiently(rooms, "b", 0)
    assert lease.token > 100
