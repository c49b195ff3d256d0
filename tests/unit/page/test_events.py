"""What is believed of a call of the bridge's binding."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shards.page.events import PageEventKind, read_event


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


@given(st.text(st.characters(categories=None), max_size=20))
def test_what_a_stranger_writes_can_be_stored(text: str) -> None:
    data = {"message_id": "m", "chat": "c", "from": text, "timestamp": 1, "emoji": text, "reaction_id": [{text: text}]}
    event = read_event(json.dumps({"kind": "reaction", "data": data}))
    assert event is not None
    json.dumps(event.data, ensure_ascii=False).encode()


def test_half_a_surrogate_pair_is_replaced_and_a_whole_one_stays() -> None:
    payload = json.dumps({"kind": "ack", "data": {"message_id": "\ud83d!", "ack": 1, "chat": "\ud83d\ude00"}})
    event = read_event(payload)
    assert event is not None
    assert event.data == {"message_id": "\ufffd!", "ack": 1, "chat": "\U0001f600"}
