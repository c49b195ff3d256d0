"""Idempotency keys on a real Redis: who may try, and that what is doubtful is never called not sent."""

import asyncio

from daemon.registry.sends import Begun
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


async def test_bytes_on_the_way_are_given_whole_and_are_gone_when_dropped(rooms: Rooms) -> None:
    content = bytes(range(256)) * 5000
    upload = await rooms.uploads.put(ID, content, keep_ms=60_000)
    assert await rooms.uploads.get(ID, upload) == content
    await rooms.uploads.drop(ID, upload)
    assert await rooms.uploads.get(ID, upload) is None
    brief = await rooms.uploads.put(ID, b"x", keep_ms=1)
    await asyncio.sleep(0.01)
    assert await rooms.uploads.get(ID, brief) is None
