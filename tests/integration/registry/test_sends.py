"""Idempotency keys on a real Redis: who may try, and that what is doubtful is never called not sent."""

import asyncio

from daemon.registry import keys
from daemon.registry.sends import Begun, Sends
from daemon.sessions.sends import SendFacts, SendState, Ticket
from tests.integration.registry.conftest import Rooms

ID, KEY, HOLD_MS = "session-1-1", "k", 60_000


async def _begin(rooms: Rooms, asked: str = "f", *, hold_ms: int = HOLD_MS) -> tuple[Begun, Ticket | None]:
    begun = await rooms.sends.begin(ID, KEY, asked, "3EB0AA", hold_ms=hold_ms)
    return begun.said, begun.ticket


async def _settle(rooms: Rooms, ticket: Ticket | None, state: SendState) -> None:
    assert ticket is not None
    sent = {"sent_id": "true_x_3EB0AA", "ack": 1, "timestamp": 17} if state is SendState.SENT else {"code": "why"}
    await rooms.sends.settle(ID, ticket, SendFacts(state=state, message_id=ticket.message_id, **sent))  # type: ignore[arg-type]  # one of the two shapes


async def _state(rooms: Rooms) -> SendState | None:
    facts = await rooms.sends.get(ID, KEY)
    return facts.state if facts else None


async def test_of_many_requests_at_once_one_tries(rooms: Rooms) -> None:
    said = [found for found, _ in await asyncio.gather(*(_begin(rooms) for _ in range(20)))]
    assert sorted(said) == [Begun.BUSY] * 19 + [Begun.TRY]


async def test_a_sent_message_is_told_and_never_tried_again(rooms: Rooms) -> None:
    _, ticket = await _begin(rooms)
    await _settle(rooms, ticket, SendState.SENT)
    await _settle(rooms, ticket, SendState.UNKNOWN)
    begun = await rooms.sends.begin(ID, KEY, "f", "3EB0AA", hold_ms=HOLD_MS)
    assert (begun.said, begun.ticket) == (Begun.SENT, None)
    assert begun.facts is not None
    assert (begun.facts.sent_id, begun.facts.ack, begun.facts.timestamp) == ("true_x_3EB0AA", 1, 17)


async def test_a_key_belongs_to_one_message_whatever_became_of_it(rooms: Rooms) -> None:
    _, ticket = await _begin(rooms)
    assert (await _begin(rooms, "g"))[0] is Begun.OTHER
    await _settle(rooms, ticket, SendState.NOT_SENT)
    assert (await _begin(rooms, "g"))[0] is Begun.OTHER


async def test_not_sent_may_be_tried_again_and_is_not_doubtful(rooms: Rooms) -> None:
    _, first = await _begin(rooms)
    await _settle(rooms, first, SendState.NOT_SENT)
    said, second = await _begin(rooms)
    assert said is Begun.TRY
    assert first is not None and second is not None
    assert (second.message_id, second.doubtful) == (first.message_id, False)
    await _settle(rooms, second, SendState.NOT_SENT)
    assert await _state(rooms) is SendState.NOT_SENT


async def test_after_an_unknown_outcome_only_sent_is_certain(rooms: Rooms) -> None:
    _, first = await _begin(rooms)
    await _settle(rooms, first, SendState.UNKNOWN)
    _, second = await _begin(rooms)
    assert second is not None
    assert second.doubtful
    await _settle(rooms, second, SendState.NOT_SENT)
    assert await _state(rooms) is SendState.UNKNOWN
    _, third = await _begin(rooms)
    await _settle(rooms, third, SendState.SENT)
    assert await _state(rooms) is SendState.SENT


async def test_a_try_that_nobody_settled_is_unknown_and_its_late_word_counts_only_if_sent(rooms: Rooms) -> None:
    _, lost = await _begin(rooms, hold_ms=0)
    assert await _state(rooms) is SendState.UNKNOWN
    said, again = await _begin(rooms)
    assert said is Begun.TRY
    assert again is not None
    assert again.doubtful
    await _settle(rooms, lost, SendState.NOT_SENT)
    assert await _state(rooms) is SendState.PENDING
    await _settle(rooms, lost, SendState.SENT)
    assert await _state(rooms) is SendState.SENT


async def test_nothing_is_known_of_a_key_that_was_never_used(rooms: Rooms) -> None:
    assert await rooms.sends.get(ID, "other") is None


async def _all_keys(rooms: Rooms) -> set[str]:
    return {key async for key in rooms.link.text.scan_iter("wa:*send*")} - {keys.SENDERS}


async def _begin_some(sends: Sends, *names: str) -> None:
    for name in names:
        await sends.begin(ID, name, "f", "3EB0AA", hold_ms=0)


async def test_a_key_is_as_good_as_absent_once_it_has_expired_and_never_before_its_try_is_over(rooms: Rooms) -> None:
    brief = Sends(rooms.link, keep_ms=20)
    _, held = await _begin(rooms)
    await brief.begin(ID, "other", "f", "3EB0AA", hold_ms=HOLD_MS)
    await _settle(rooms, held, SendState.UNKNOWN)
    assert held is not None
    await brief.settle(ID, held, SendFacts(state=SendState.UNKNOWN, message_id="3EB0AA"))
    await asyncio.sleep(0.05)
    assert await _state(rooms) is None
    assert (await rooms.sends.begin(ID, "other", "f", "3EB0AA", hold_ms=HOLD_MS)).said is Begun.BUSY
    said, ticket = await _begin(rooms, "another message")
    assert said is Begun.TRY
    assert ticket is not None and not ticket.doubtful


async def test_what_was_sent_is_written_also_late(rooms: Rooms) -> None:
    begun = await Sends(rooms.link, keep_ms=1).begin(ID, KEY, "f", "3EB0AA", hold_ms=0)
    await asyncio.sleep(0.01)
    assert await _state(rooms) is None
    await _settle(rooms, begun.ticket, SendState.SENT)
    assert await _state(rooms) is SendState.SENT


async def test_a_key_takes_along_expired_ones_of_its_session_a_bounded_number_at_a_time(rooms: Rooms) -> None:
    await _begin_some(Sends(rooms.link, keep_ms=1), *(f"old-{number}" for number in range(130)))
    await rooms.sends.begin("session-2-2", "mine", "f", "3EB0AA", hold_ms=HOLD_MS)
    assert await rooms.link.text.zcard(keys.sends(ID)) < 110
    await _begin_some(rooms.sends, "new")
    await _begin_some(rooms.sends, "newer")
    assert await _all_keys(rooms) == {
        keys.sends(ID), keys.send(ID, "new"), keys.send(ID, "newer"),
        keys.sends("session-2-2"), keys.send("session-2-2", "mine"),
    }  # fmt: skip


async def test_no_key_has_a_ttl(rooms: Rooms) -> None:
    _, ticket = await _begin(rooms)
    await _settle(rooms, ticket, SendState.SENT)
    assert [await rooms.link.text.ttl(key) for key in (*await _all_keys(rooms), keys.SENDERS)] == [-1] * 3


async def _look_now(rooms: Rooms) -> None:
    """Have every noted session due."""
    for session_id in await rooms.link.text.zrange(keys.SENDERS, 0, -1):
        await rooms.link.text.zadd(keys.SENDERS, {session_id: 1})


async def test_sweeping_removes_the_expired_keys_of_sessions_that_are_never_used_again(rooms: Rooms) -> None:
    brief = Sends(rooms.link, keep_ms=1)
    for number in range(120):
        await brief.begin(f"session-{number}-7", KEY, "f", "3EB0AA", hold_ms=0)
    await _begin(rooms)
    await asyncio.sleep(0.01)
    looks = 0
    while await rooms.sends.sweep():
        looks += 1
    assert looks == 2
    assert await _all_keys(rooms) == {keys.sends(ID), keys.send(ID, KEY)}
    assert await rooms.link.text.zrange(keys.SENDERS, 0, -1) == [ID]


async def test_a_session_with_many_expired_keys_is_looked_at_until_they_are_gone(rooms: Rooms) -> None:
    await rooms.sends.begin(ID, KEY, "f", "3EB0AA", hold_ms=HOLD_MS)
    old = {f"old-{number}": 1 for number in range(2500)}
    await rooms.link.text.zadd(keys.sends(ID), old)
    await _look_now(rooms)
    looks = 0
    while await rooms.sends.sweep():
        looks += 1
    assert looks == 3
    assert await rooms.link.text.zrange(keys.sends(ID), 0, -1) == [KEY]
    assert not await rooms.sends.sweep()


async def test_a_session_noted_while_it_is_swept_stays_noted(rooms: Rooms) -> None:
    await rooms.link.text.zadd(keys.SENDERS, {ID: 1})
    found = await rooms.link.run("due_senders", [keys.SENDERS], [10])
    assert found == [ID, "1"]
    await _begin(rooms)  # what noted it after it was found, and wrote its key after it was swept
    await rooms.link.run("note_swept", [keys.SENDERS], [0, ID, "1", -1])
    assert await rooms.link.text.zrange(keys.SENDERS, 0, -1) == [ID]
    assert not await rooms.sends.sweep()


async def test_a_session_that_is_noted_and_gets_no_key_is_struck_off(rooms: Rooms) -> None:
    await rooms.link.text.zadd(keys.SENDERS, {ID: 1})
    assert await rooms.sends.sweep()
    assert not await rooms.link.text.exists(keys.SENDERS)


async def test_bytes_on_the_way_are_given_whole_and_are_gone_when_dropped(rooms: Rooms) -> None:
    content = bytes(range(256)) * 5000
    upload = await rooms.uploads.put(ID, content, keep_ms=60_000)
    assert await rooms.uploads.get(ID, upload) == content
    await rooms.uploads.drop(ID, upload)
    assert await rooms.uploads.get(ID, upload) is None
    brief = await rooms.uploads.put(ID, b"x", keep_ms=1)
    await asyncio.sleep(0.01)
    assert await rooms.uploads.get(ID, brief) is None
