"""Heartbeats on a real Redis: one round trip, and versions of shards that do not know each other's fields."""

import json
from dataclasses import replace
from datetime import UTC, datetime

from daemon.registry import keys
from daemon.registry.membership import Heartbeat
from tests.integration.registry.conftest import Rooms

AT = datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=UTC)
BEAT = Heartbeat(
    name="shard_00", host="h", pid=7, incarnation="7-ab", started_at=AT, at=AT, sessions=3, capacity=9,
    loop_lag_ms=1.5, rss_bytes=10, cpu_percent=2.5, starting=1, waiting=2, stopping=True, full=True, host_cpus=1.5,
    host_memory_bytes=100, host_available_bytes=50,
)  # fmt: skip
OF_AN_OLD_VERSION = {
    "name": "shard_01", "host": "h", "pid": 8, "incarnation": "8-cd", "started_at": "2026-01-02T03:04:05.678Z",
    "at": "2026-01-02T03:04:05.678Z", "sessions": 1, "capacity": 200, "loop_lag_ms": 0.1, "rss_bytes": 5,
}  # fmt: skip


async def test_what_a_shard_says_is_what_is_read(rooms: Rooms) -> None:
    await rooms.shards.beat(BEAT, ttl_ms=60_000)
    (view,) = await rooms.shards.all()
    assert view.heartbeat == BEAT
    assert 0 < await rooms.link.text.pttl(keys.heartbeat("shard_00")) <= 60_000


async def test_a_shard_whose_heartbeat_ran_out_is_listed_and_not_alive(rooms: Rooms) -> None:
    await rooms.shards.beat(BEAT, ttl_ms=60_000)
    await rooms.shards.leave("shard_00")
    (view,) = await rooms.shards.all()
    assert (view.name, view.alive) == ("shard_00", False)


async def test_the_heartbeat_of_an_older_version_is_read_with_defaults(rooms: Rooms) -> None:
    await rooms.link.text.sadd(keys.SHARDS, "shard_01")
    await rooms.link.text.set(keys.heartbeat("shard_01"), json.dumps(OF_AN_OLD_VERSION))
    (view,) = await rooms.shards.all()
    assert view.heartbeat is not None
    assert (view.heartbeat.capacity, view.heartbeat.stopping, view.heartbeat.host_cpus) == (200, False, 0.0)


async def test_what_a_newer_version_says_more_is_left_aside(rooms: Rooms) -> None:
    await rooms.shards.beat(replace(BEAT, stopping=False), ttl_ms=60_000)
    body = json.loads(await rooms.link.text.get(keys.heartbeat("shard_00")))
    await rooms.link.text.set(keys.heartbeat("shard_00"), json.dumps(body | {"colour": "green"}))
    (view,) = await rooms.shards.all()
    assert view.heartbeat == replace(BEAT, stopping=False)


async def test_a_beat_is_one_round_trip(rooms: Rooms, monkeypatch) -> None:
    sent: list[tuple[object, ...]] = []

    async def no_single_command(*args: object, **_: object) -> None:
        sent.append(args)

    monkeypatch.setattr(rooms.link.text, "execute_command", no_single_command)
    await rooms.shards.beat(BEAT, ttl_ms=60_000)
    monkeypatch.undo()
    assert sent == []
    assert len(await rooms.shards.all()) == 1
