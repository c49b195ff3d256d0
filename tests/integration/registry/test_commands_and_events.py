"""Commands happen at most once and are always answered truthfully; events leave the stream only when delivered."""

import asyncio
import time

from daemon.core.clock import utc_now
from daemon.registry.commands import Claim
from daemon.sessions.commands import CommandKind, Outcome, Reply
from daemon.sessions.events import Event, EventKind
from tests.integration.registry.conftest import Rooms


async def test_a_command_reaches_its_shard_and_its_reply_the_asker(rooms: Rooms) -> None:
    await rooms.commands.join("shard_00")
    command = await rooms.commands.give("shard_00", CommandKind.SEND_TEXT, "s", {"to": "1", "text": "é\n"})
    (received,) = await rooms.commands.take("shard_00", block_ms=1000)
    assert received.command == command
    await rooms.commands.reply(command.command_id, Reply(outcome=Outcome.DONE, result={"ack": 1}))
    reply = await rooms.commands.wait(command, timeout_s=2)
    assert reply == Reply(outcome=Outcome.DONE, result={"ack": 1})


async def test_no_reply_in_time_is_none(rooms: Rooms) -> None:
    command = await rooms.commands.give("shard_00", CommandKind.BACKUP, "s", {})
    began = time.monotonic()
    assert await rooms.commands.wait(command, timeout_s=0.2) is None
    assert time.monotonic() - began < 2


async def test_who_claims_first_decides(rooms: Rooms) -> None:
    assert await rooms.commands.claim("c", "coordinator") is Claim.MINE
    assert await rooms.commands.claim("c", "shard_00") is Claim.TAKEN


async def test_a_command_older_than_anybody_waits_is_not_begun_and_never_can_be(rooms: Rooms) -> None:
    now_ms = int(time.time() * 1000)
    assert await rooms.commands.claim("new", "shard_00", given_at_ms=now_ms) is Claim.MINE
    assert await rooms.commands.claim("old", "shard_00", given_at_ms=now_ms - 60_000) is Claim.TOO_OLD
    assert await rooms.commands.claim("old", "shard_00", given_at_ms=now_ms) is Claim.TAKEN


async def test_what_a_killed_process_took_is_pending_for_the_next_one(rooms: Rooms) -> None:
    await rooms.commands.join("shard_00")
    await rooms.commands.join("shard_00")
    await rooms.commands.give("shard_00", CommandKind.BACKUP, "s", {})
    (taken,) = await rooms.commands.take("shard_00", block_ms=1000)
    assert await rooms.commands.pending("shard_00") == [taken]
    await rooms.commands.drop("shard_00", taken.entry_id)
    assert await rooms.commands.pending("shard_00") == []
    assert await rooms.commands.take("shard_00", block_ms=10) == []


def event(number: int) -> Event:
    return Event(
        event_id=f"evt_{number}",
        kind=EventKind.MESSAGE,
        session_id="s",
        workspace_id="1",
        user_id="2",
        at=utc_now().replace(microsecond=0),
        data={"body": "ü", "n": number},
    )


async def test_events_come_out_in_order_and_stay_until_done(rooms: Rooms) -> None:
    await rooms.events.publish(event(1))
    await rooms.events.join()
    await rooms.events.publish(event(2))
    taken = await rooms.events.take("a", 10, 1000)
    assert [e for _, e in taken] == [event(1), event(2)] or [e.event_id for _, e in taken] == ["evt_1", "evt_2"]
    await rooms.events.done([taken[0][0]])
    assert await rooms.events.waiting() == 1


async def test_what_a_dead_consumer_held_is_reclaimed(rooms: Rooms) -> None:
    await rooms.events.join()
    await rooms.events.publish(event(1))
    await rooms.events.take("dead", 10, 1000)
    assert await rooms.events.take("b", 10, 10) == []
    await asyncio.sleep(0.02)
    ((_, found),) = await rooms.events.reclaim("b", 1, 10)
    assert found.event_id == "evt_1"


async def test_a_buried_event_is_kept_with_its_reason(rooms: Rooms) -> None:
    await rooms.events.join()
    await rooms.events.publish(event(1))
    ((entry_id, found),) = await rooms.events.take("a", 10, 1000)
    await rooms.events.bury(entry_id, found, "410 Gone")
    assert await rooms.events.waiting() == 0
    ((_, fields),) = await rooms.link.text.xrange("wa:events:dead")
    assert fields["error"] == "410 Gone" and "evt_1" in fields["event"]
