"""Commands happen at most once and are always answered truthfully; events leave the stream only when delivered."""

import time

from daemon.core.clock import utc_now
from daemon.registry import keys
from daemon.registry.commands import Claim, Commands
from daemon.registry.events import EventStream
from daemon.registry.outbox import Outbox
from daemon.registry.parked import Tries
from daemon.sessions.commands import Command, CommandKind, Outcome, Reply
from daemon.sessions.events import Event, EventKind
from tests.integration.registry.conftest import Rooms


async def test_a_command_reaches_its_shard_and_its_reply_the_asker(rooms: Rooms) -> None:
    await rooms.commands.join("shard_00")
    given = await rooms.commands.give("shard_00", CommandKind.SEND, "s", {"to": "1", "text": "é\n"})
    (received,) = await rooms.commands.take("shard_00", block_ms=1000)
    assert received.command == given
    await rooms.commands.reply(given.command_id, Reply(outcome=Outcome.DONE, result={"ack": 1}))
    reply = await rooms.commands.wait(given, timeout_s=2)
    assert reply == Reply(outcome=Outcome.DONE, result={"ack": 1})


async def test_no_reply_in_time_is_none(rooms: Rooms) -> None:
    given = await rooms.commands.give("shard_00", CommandKind.BACKUP, "s", {})
    began = time.monotonic()
    assert await rooms.commands.wait(given, timeout_s=0.2) is None
    assert time.monotonic() - began < 10


def command(command_id: str, shard: str = "shard_00") -> Command:
    return Command(command_id=command_id, shard=shard, kind=CommandKind.SEND, session_id="s")


async def test_who_claims_first_decides(rooms: Rooms) -> None:
    assert await rooms.commands.claim(command("c")) is Claim.MINE
    assert await rooms.commands.claim(command("c")) is Claim.TAKEN
    assert await rooms.commands.claim(command("d")) is Claim.MINE


async def test_a_claim_takes_along_those_of_an_hour_ago_and_no_other(rooms: Rooms) -> None:
    claims = keys.claims("shard_00")
    now_ms = int(time.time() * 1000)
    await rooms.link.text.zadd(
        claims, {"young": now_ms - 3_500_000} | {f"old-{n}": now_ms - 3_700_000 for n in range(150)}
    )
    assert await rooms.commands.claim(command("c")) is Claim.MINE
    assert await rooms.link.text.zcard(claims) == 52
    assert await rooms.commands.claim(command("d")) is Claim.MINE
    assert await rooms.link.text.zrange(claims, 0, -1) == ["young", "c", "d"]


async def test_a_command_older_than_anybody_waits_is_not_begun_and_never_can_be(rooms: Rooms) -> None:
    commands, now_ms = Commands(rooms.link, max_age_ms=30_000), int(time.time() * 1000)
    assert await commands.claim(command("new"), given_at_ms=now_ms) is Claim.MINE
    assert await commands.claim(command("old"), given_at_ms=now_ms - 60_000) is Claim.TOO_OLD
    assert await commands.claim(command("old"), given_at_ms=now_ms) is Claim.TAKEN


async def test_what_a_killed_process_took_is_pending_for_the_next_one(rooms: Rooms) -> None:
    await rooms.commands.join("shard_00")
    await rooms.commands.join("shard_00")
    await rooms.commands.give("shard_00", CommandKind.BACKUP, "s", {})
    (taken,) = await rooms.commands.take("shard_00", block_ms=1000)
    assert await rooms.commands.pending("shard_00") == [taken]
    await rooms.commands.drop("shard_00", taken.entry_id)
    assert await rooms.commands.pending("shard_00") == []
    assert await rooms.commands.take("shard_00", block_ms=10) == []


NOW = utc_now().replace(microsecond=0)


def event(number: int) -> Event:
    return Event(
        event_id=f"evt_{number}",
        kind=EventKind.MESSAGE,
        session_id="s",
        workspace_id="1",
        user_id="2",
        at=NOW,
        data={"body": "ü", "n": number},
    )


async def test_events_come_out_in_order_and_wait_until_done(rooms: Rooms) -> None:
    await rooms.events.publish(event(1))
    await rooms.outbox.join(["laravel"])
    await rooms.events.publish(event(2))
    taken = await rooms.outbox.take("laravel", 10, 1000)
    assert [one.event for one in taken] == [event(1), event(2)]
    await rooms.outbox.done("laravel", [taken[0].entry_id])
    counts = (await rooms.outbox.counts()).endpoints["laravel"]
    assert (counts.waiting, counts.oldest_told_ms) == (1, taken[1].told_ms)
    assert abs(await rooms.outbox.now_ms() - taken[1].told_ms) < 10_000


async def test_what_a_dead_leader_took_is_reclaimed(rooms: Rooms) -> None:
    await rooms.outbox.join(["laravel"])
    await rooms.events.publish(event(1))
    await rooms.outbox.take("laravel", 10, 1000)
    assert await rooms.outbox.take("laravel", 10, 10) == []
    (found,) = await rooms.outbox.reclaim("laravel", 10)
    assert found.event.event_id == "evt_1"


async def test_the_log_is_trimmed_to_what_every_endpoint_has_but_not_below_its_length(rooms: Rooms) -> None:
    await rooms.outbox.join(["laravel", "crm"])
    for n in range(10):
        await rooms.events.publish(event(n))
    taken = await rooms.outbox.take("laravel", 10, 1000)
    await rooms.outbox.done("laravel", [one.entry_id for one in taken])
    assert await rooms.outbox.trim(keep=3) == 0
    taken = await rooms.outbox.take("crm", 6, 1000)
    await rooms.outbox.done("crm", [one.entry_id for one in taken if one.event.data["n"] != 4])
    assert await rooms.outbox.trim(keep=3) == 4
    await rooms.outbox.done("crm", [taken[4].entry_id])
    await rooms.outbox.trim(keep=3)
    assert await rooms.events.count() == 5
    taken = await rooms.outbox.take("crm", 10, 1000)
    await rooms.outbox.done("crm", [one.entry_id for one in taken])
    await rooms.outbox.trim(keep=3)
    assert await rooms.events.count() == 3


async def test_a_full_stream_loses_the_oldest_and_counts_whose_they_were(rooms: Rooms) -> None:
    stream = EventStream(rooms.link, events_max=5)
    await rooms.outbox.join(["laravel", "crm"])
    await stream.publish(event(0))
    taken = await rooms.outbox.take("laravel", 10, 1000)
    await rooms.outbox.done("laravel", [one.entry_id for one in taken])
    for n in range(1, 8):
        await stream.publish(event(n))
    counts = (await rooms.outbox.counts()).endpoints
    assert await stream.count() == 5
    assert (counts["laravel"].dropped, counts["crm"].dropped) == (2, 3)
    assert (counts["laravel"].waiting, counts["crm"].waiting) == (5, 5)
    assert [one.event.data["n"] for one in await rooms.outbox.take("crm", 10, 1000)] == [3, 4, 5, 6, 7]


async def test_a_whole_lane_is_parked_or_nothing_of_it_also_when_an_answer_is_lost(rooms: Rooms) -> None:
    await rooms.outbox.join(["laravel"])
    for n in range(4):
        await rooms.events.publish(event(n))
    taken = await rooms.outbox.take("laravel", 10, 1000)
    rooms.outbox.events_max = 3
    assert await rooms.parked.park("laravel", "s", taken, due_ms=None, whole=True) == 0
    assert await rooms.parked.which("laravel", ["s"]) == set()
    for _ in range(2):  # the second time all the room is taken by what the first call moved
        assert await rooms.parked.park("laravel", "s", taken[:3], due_ms=None, whole=True) == 3
        assert await rooms.parked.room("laravel") == 0
    assert await rooms.parked.park("laravel", "s", taken, due_ms=None) == 3
    assert [one.event.data["n"] for one in await rooms.parked.head("laravel", "s", 10)] == [0, 1, 2]


async def test_a_parked_session_is_worked_and_left_and_what_died_is_sent_again(rooms: Rooms) -> None:
    await rooms.outbox.join(["laravel"])
    for n in range(4):
        await rooms.events.publish(event(n))
    taken = await rooms.outbox.take("laravel", 10, 1000)
    for _ in range(2):  # as when the answer to the first call was lost
        assert await rooms.parked.park("laravel", "s", taken[:3], due_ms=5, tries=Tries(count=3, since_ms=1)) == 3
    assert await rooms.parked.which("laravel", ["s", "t"]) == {"s"}
    assert await rooms.parked.due("laravel", 4, 10) == []
    assert await rooms.parked.due("laravel", 5, 10) == ["s"]
    assert await rooms.parked.tries("laravel", "s") == Tries(count=3, since_ms=1)
    first, second, third = await rooms.parked.head("laravel", "s", 10)
    assert [one.event.data["n"] for one in (first, second, third)] == [0, 1, 2]
    assert first.told_ms == taken[0].told_ms
    counts = (await rooms.outbox.counts()).endpoints["laravel"]
    assert (counts.waiting, counts.parked_sessions, counts.parked_events) == (4, 1, 3)
    assert not await rooms.parked.delivered("laravel", "s", first.entry_id)
    assert (await rooms.outbox.counts()).endpoints["laravel"].oldest_told_ms == second.told_ms
    assert not await rooms.parked.bury("laravel", "s", second, reason="410 Gone", tries=1)
    assert await rooms.parked.delivered("laravel", "s", third.entry_id)
    assert await rooms.parked.which("laravel", ["s"]) == set()
    (letter,) = (await rooms.letters.page()).letters
    assert (letter.endpoint, letter.reason, letter.tries, letter.event["id"]) == ("laravel", "410 Gone", 1, "evt_1")
    assert await rooms.letters.redrive([letter, letter]) == 1
    (again,) = await rooms.parked.head("laravel", "s", 10)
    assert again.event == event(1) and again.told_ms > second.told_ms
    counts = (await rooms.outbox.counts()).endpoints["laravel"]
    assert (counts.waiting, counts.parked_events, counts.dead) == (2, 1, 0)
    assert await rooms.outbox.remove("laravel") == 1
    assert {str(key) for key in await rooms.link.text.keys("*to:*")} == set()


async def test_too_many_dead_letters_push_out_the_oldest_and_that_is_counted(rooms: Rooms) -> None:
    outbox = Outbox(rooms.link, dead_letters_max=2)
    await outbox.join(["laravel"])
    for n in range(3):
        await rooms.events.publish(event(n))
    for one in await outbox.take("laravel", 10, 1000):
        await outbox.bury("laravel", one, reason="why", tries=1)
    assert [letter.event["id"] for letter in (await rooms.letters.page()).letters] == ["evt_1", "evt_2"]
    counts = (await outbox.counts()).endpoints["laravel"]
    assert (counts.dead, counts.forgotten, counts.waiting) == (2, 1, 0)


async def test_what_was_told_is_not_told_again_and_a_stale_holder_tells_nothing(rooms: Rooms) -> None:
    await rooms.link.text.set(keys.token("s"), 5)
    assert await rooms.events.may_tell(event(1), 5) is True
    await rooms.events.note_told(event(1))
    assert await rooms.events.may_tell(event(1), 5) is None
    assert await rooms.events.may_tell(event(2), 4) is False
    for n in range(200):
        await rooms.events.note_told(event(n))
    assert await rooms.link.text.zcard(keys.told("s")) == 128
    assert await rooms.events.may_tell(event(199), 6) is None


async def test_an_event_is_told_once_and_only_by_who_may_hold_the_session(rooms: Rooms) -> None:
    await rooms.link.text.set(keys.token("s"), 5)

    async def tell(number: int, *, token: int = 5, once: bool = True, holds: bool = True) -> bool | None:
        return await rooms.events.tell(event(number), token=token, once=once, holds=lambda: holds)

    assert await tell(1) is True
    assert await tell(1) is None
    assert await tell(2, token=4) is False
    assert [await tell(3, once=False), await tell(3, once=False)] == [True, True]
    assert await rooms.events.count() == 3
    if rooms.link.kind == "cluster":
        assert await tell(4, holds=False) is False
    assert await rooms.link.text.zcard(keys.told("s")) == 1
    assert await tell(5, token=0) is True
