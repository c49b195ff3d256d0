"""What is believed of a call of the bridge's binding, and the queue of events."""

import asyncio
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shards.page.events import PageEvent, PageEventKind, PageEvents, read_event

HINT = PageEvent(kind=PageEventKind.STATE_HINT, data={"source": "x"})
ACK = PageEvent(kind=PageEventKind.ACK, data={"message_id": "m", "ack": 1, "chat": "c"})


def test_an_event_of_the_bridge_is_read() -> None:
    payload = json.dumps({"kind": "ack", "data": {"message_id": "m", "ack": 2, "chat": "c"}})
    event = read_event(payload)
    assert event is not None
    assert event.kind is PageEventKind.ACK
    assert event.data["ack"] == 2


def test_what_people_wrote_is_not_in_a_repr() -> None:
    data = {"id": "i", "from": "f", "to": "t", "body": "secret", "type": "chat", "timestamp": 1, "from_me": False}
    assert "secret" not in repr(read_event(json.dumps({"kind": "message", "data": data})))


@pytest.mark.parametrize(
    "payload",
    [
        None,
        7,
        "",
        "{",
        "[]",
        '"ack"',
        '{"kind": "ack"}',
        '{"kind": "ack", "data": []}',
        '{"kind": "ack", "data": {"ack": 1}}',
        '{"kind": "other", "data": {}}',
        '{"kind": ["ack"], "data": {}}',
        "x" * 1_000_001,
    ],
)
def test_anything_else_is_nothing(payload: object) -> None:
    assert read_event(payload) is None


@given(st.text(max_size=200))
def test_text_never_raises(payload: str) -> None:
    read_event(payload)


async def test_hints_wait_once_and_others_in_order() -> None:
    events = PageEvents()
    for event in (HINT, ACK, HINT, ACK, HINT):
        events.put_nowait(event)
    assert [events.get_nowait() for _ in range(events.qsize())] == [HINT, ACK, ACK]
    events.put_nowait(HINT)
    assert await asyncio.wait_for(events.get(), 1) is HINT


async def test_a_full_queue_says_so() -> None:
    events = PageEvents()
    for _ in range(events.maxsize):
        events.put_nowait(ACK)
    with pytest.raises(asyncio.QueueFull):
        events.put_nowait(ACK)
