"""What is asked before a command is given: in one round trip when the session was looked at before, and never wrong."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from daemon.core.errors import SessionNotFoundError
from daemon.registry import keys
from daemon.registry.epoch import Epochs
from daemon.registry.exits import ExitReport, Exits
from daemon.registry.looks import Look, Looks
from daemon.sessions.record import SessionRecord
from tests.integration.registry.conftest import Rooms
from tests.integration.registry.test_membership import BEAT

NOW = datetime(2026, 1, 2, tzinfo=UTC)
RECORD = SessionRecord(
    session_id="s", workspace_id="1", user_id="2", created_at=NOW, status_at=NOW, shard="shard_00"
)  # fmt: skip


def looks_of(rooms: Rooms) -> Looks:
    return Looks(rooms.link, Epochs(rooms.link), rooms.sends)


async def second(looks: Looks, *, keyed: bool = False) -> Look:
    """Look twice: only the second time it is known where the session was."""
    first = await looks.look("s", keyed=keyed)
    assert (first.shard_lives, first.epoch) == (None, None)
    return await looks.look("s", keyed=keyed)


async def test_the_shard_of_the_last_look_is_looked_at_with_the_session(rooms: Rooms) -> None:
    await rooms.records.create(RECORD)
    await rooms.shards.beat(BEAT, ttl_ms=60_000)
    looks = looks_of(rooms)
    look = await second(looks)
    assert (look.record, look.shard_lives, look.epoch) == (RECORD, True, None)
    await rooms.shards.leave("shard_00")
    assert (await looks.look("s", keyed=False)).shard_lives is False
    assert not await looks.lives("shard_00")


async def test_what_is_known_of_another_shard_is_not_taken_for_that_of_a_session_that_moved(rooms: Rooms) -> None:
    await rooms.records.create(RECORD)
    await rooms.shards.beat(BEAT, ttl_ms=60_000)
    looks = looks_of(rooms)
    await second(looks)
    await rooms.link.text.hset(keys.record("s"), "shard", "shard_01")
    moved = await looks.look("s", keyed=False)
    assert (moved.record.shard, moved.shard_lives) == ("shard_01", None)
    assert (await looks.look("s", keyed=False)).shard_lives is False


async def test_a_shard_whose_process_is_reported_dead_does_not_live_and_one_that_came_after_does(rooms: Rooms) -> None:
    await rooms.records.create(RECORD)
    await rooms.shards.beat(BEAT, ttl_ms=60_000)
    await Exits(rooms.link).report(
        ExitReport(
            shard="shard_00", holder_prefix="shard_00:install:7-ab|", host="h", pid=7, expected=False,
            code_text="exited unexpectedly", at=NOW,
        )
    )  # fmt: skip
    looks = looks_of(rooms)
    assert (await second(looks)).shard_lives is False
    await rooms.shards.beat(replace(BEAT, incarnation="8-cd", pid=8), ttl_ms=60_000)
    assert (await looks.look("s", keyed=False)).shard_lives is True


async def test_a_look_before_a_key_notes_the_session_unless_it_may_not_be_there(rooms: Rooms) -> None:
    looks = looks_of(rooms)
    with pytest.raises(SessionNotFoundError):
        await looks.look("s", keyed=True)
    assert await rooms.link.text.zcard(keys.SENDERS) == 0
    await rooms.records.create(RECORD)
    look = await second(looks, keyed=True)
    if rooms.link.kind == "cluster":
        assert look.epoch is None  # whoever begins the key reads it, and notes the session
    else:
        assert look.epoch is not None and look.epoch.epoch_id == (await Epochs(rooms.link).read()).epoch_id
        assert await rooms.link.text.zscore(keys.SENDERS, "s") is not None
    await rooms.link.text.delete(keys.record("s"))
    with pytest.raises(SessionNotFoundError):
        await looks.look("s", keyed=True)


async def test_scripts_that_redis_has_forgotten_are_loaded_again(rooms: Rooms) -> None:
    await rooms.records.create(RECORD)
    looks = looks_of(rooms)
    await second(looks, keyed=True)
    await rooms.link.text.script_flush()
    assert (await looks.look("s", keyed=True)).record == RECORD
