"""What the page says of a message, in the shape that Laravel gets."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shards.page.told import change_told, contact_of, message_told

MESSAGE: dict[str, Any] = {"id": "i", "chat": "c", "from": "f", "body": "b", "type": "chat", "timestamp": 1}


KNOWN = "BEGIN:VCARD\nFN:Maria\nTEL;type=CELL;waid=5511999990001:+55 11 99999-0001\nEND:VCARD"
TWO = "BEGIN:VCARD\r\nN:Silva;Maria;;;\r\nTEL:+55 11\r\nitem2.TEL;WAID=5511999990002:x\r\n"


@pytest.mark.parametrize(
    ("card", "name", "phones"),
    [
        (KNOWN, "Maria", ["5511999990001"]),
        (TWO, "Maria Silva", ["+55 11", "5511999990002"]),
        ("BEGIN:VCARD\nFN:A very\n  long\\, name\\nhere\nEND:VCARD", "A very long, name\nhere", []),
        ("not a card at all", "", []),
        ("", "", []),
    ],
)
def test_a_contact_card_is_read_as_far_as_it_can_be(card: str, name: str, phones: list[str]) -> None:
    assert contact_of(card) == {"name": name, "phones": phones}


@given(st.text(max_size=300))
def test_no_card_breaks_the_reader(card: str) -> None:
    found = contact_of("FN:" + card + "\nTEL:" + card)
    assert set(found) == {"name", "phones"}


def test_a_card_with_a_thousand_numbers_is_cut() -> None:
    assert len(contact_of("TEL:1\n" * 1000)["phones"]) == 20


@pytest.mark.parametrize(
    "place",
    [
        None,
        "x",
        {},
        {"latitude": None, "longitude": 1},
        {"latitude": True, "longitude": 1},
        {"latitude": math.nan, "longitude": 1},
    ],
)
def test_a_place_without_coordinates_is_none(place: object) -> None:
    assert message_told(MESSAGE | {"place": place})["location"] is None


def test_a_place_has_name_and_address_where_they_are() -> None:
    place = {"latitude": 1, "longitude": 2.5, "text": None}
    told = message_told(MESSAGE | {"place": place, "cards": None})
    assert told["location"] == {"latitude": 1, "longitude": 2.5, "name": None, "address": None}
    assert told["contacts"] is None


def test_only_what_the_contract_names_is_passed_on() -> None:
    told = message_told(MESSAGE | {"thumbnail": "secret", "cards": ["FN:M", 7]})
    assert "thumbnail" not in told
    assert told["contacts"] == [{"name": "M", "phones": []}]
    assert change_told({"message_id": "m", "edit_id": "e", "body": "b"}) == {"message_id": "m", "body": "b"}
