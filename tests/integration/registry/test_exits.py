"""Exit reports and wakes on a real Redis, and the end of exactly the dead process's leases."""

import asyncio
from datetime import UTC, datetime, timedelta

from daemon.registry import keys
from daemon.registry.exits import ExitReport, Exits
from daemon.registry.leases import Renewal
from daemon.registry.wakes import Wake, Wakes
from tests.integration.registry.conftest import Rooms

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def crash(second: int, *, shard: str = "shard_00", pid: int = 7) -> ExitReport:
    at = NOON + timedelta(seconds=second)
    return ExitReport(
        shard=shard,
        holder_prefix=f"{shard}:install:{pid}-",
        host="here",
        pid=pid,
        expected=False,
        code_text="exited unexpectedly",
        at=at,
        recent=(at,),
    )


async def test_the_last_report_of_each_shard_is_found_with_the_crashes_before_it(rooms: Rooms) -> None:
    exits = Exits(rooms.link)
    for report in (crash(1), crash(2, pid=8), crash(3, shard="shard_01")):
        await exits.report(report)
    found = await exits.all(["shard_00", "shard_01", "shard_02"])
    assert set(found) == {"shard_00", "shard_01"}
    assert found["shard_00"].pid == 8
    assert [(at - NOON).seconds for at in found["shard_00"].recent] == [1, 2]
    assert found["shard_01"] == crash(3, shard="shard_01")


async def test_a_report_ends_by_itself_and_one_that_cannot_be_read_counts_as_none(rooms: Rooms) -> None:
    exits = Exits(rooms.link)
    await exits.report(crash(1))
    assert 0 < await rooms.link.text.pttl(keys.exit_report("shard_00")) <= 3_600_000
    await rooms.link.text.set(keys.exit_report("shard_00"), '{"shard": "shard_00"}')
    assert await exits.all(["shard_00"]) == {}
    await exits.report(crash(2))
    assert (await exits.all(["shard_00"]))["shard_00"] == crash(2)


async def test_only_leases_of_the_dead_process_are_freed(rooms: Rooms) -> None:
    exits = Exits(rooms.link)
    holders = {"a": "shard_00:install:7-ab", "b": "shard_00:install:70-ab", "c": "shard_00:install:8-ab"}
    for session_id, holder in holders.items():
        await rooms.leases.acquire(session_id, holder, floor=0)
    assert await exits.free_leases([*holders, "d"], crash(1).holder_prefix) == 1
    assert await rooms.leases.held(list(holders)) == {"b", "c"}
    assert await exits.free_leases([*holders], "") == 0
    assert await exits.free_leases([], "shard") == 0
    assert await rooms.leases.held(list(holders)) == {"b", "c"}


async def test_a_freed_session_gets_a_higher_token_and_its_dead_holder_cannot_come_back(rooms: Rooms) -> None:
    old = await rooms.leases.acquire("s", "shard_00:install:7-ab", floor=0)
    assert await Exits(rooms.link).free_leases(["s"], crash(1).holder_prefix) == 1
    new = await rooms.leases.acquire("s", "shard_01:install:9-cd", floor=0)
    assert new.token > old.token
    assert await rooms.leases.renew([old]) == [Renewal.LOST]


async def test_a_report_wakes_whoever_waits(rooms: Rooms) -> None:
    wakes = Wakes(rooms.link)
    waiting = asyncio.create_task(wakes.wait("$", 10_000))
    # The waiter first asks where the stream ends; a wake in between is before its beginning, so repeat it.
    while not waiting.done():
        await Exits(rooms.link).report(crash(1))
        await asyncio.wait([waiting], timeout=0.1)
    last_id, found = await waiting
    assert found[0] == Wake(why="shard_exit", shard="shard_00")
    assert last_id != "$"


async def test_no_wake_between_two_waits_is_missed(rooms: Rooms) -> None:
    wakes = Wakes(rooms.link)
    last_id, found = await wakes.wait("$", 1)
    assert found == []
    await wakes.wake("placed", "s-1")
    await wakes.wake("placed", "s-2")
    last_id, found = await wakes.wait(last_id, 10_000)
    assert found == [Wake(why="placed", session_id="s-1"), Wake(why="placed", session_id="s-2")]
    assert await wakes.wait(last_id, 1) == (last_id, [])
    assert last_id == await wakes.last_id()


async def test_wakes_do_not_pile_up(rooms: Rooms) -> None:
    wakes = Wakes(rooms.link)
    for _ in range(400):
        await wakes.wake("placed")
    assert await rooms.link.text.xlen(keys.WAKES) < 300
