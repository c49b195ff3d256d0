"""What the page's facts mean."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shards.page.state import BOOTING, PageSnapshot, PageState, read_snapshot

CONNECTED = {
    "injected": True,
    "authenticated": True,
    "main_loaded": True,
    "mode": "MAIN",
    "socket": "CONNECTED",
    "me": "5511999990000@c.us",
    "pushname": "Ana",
    "wa_version": "2.3000.1",
}
QR = {"injected": True, "authenticated": False, "mode": "QR", "socket": "UNPAIRED", "qr": "2@ref,a,b,c"}


@pytest.mark.parametrize(
    ("facts", "state"),
    [
        (CONNECTED, PageState.CONNECTED),
        (QR, PageState.QR),
        ({}, PageState.BOOTING),
        ({"injected": False, "authenticated": True}, PageState.BOOTING),
        ({"injected": True}, PageState.BOOTING),
        ({**CONNECTED, "modules_missed": True}, PageState.BOOTING),
        ({**QR, "qr": None}, PageState.QR),
        ({**QR, "qr": None, "socket": "UNPAIRED_IDLE"}, PageState.QR),
        ({**QR, "pairing_code": "ABCD1234"}, PageState.PAIRING),
        ({**QR, "qr": None, "socket": "PAIRING"}, PageState.SYNCING),
        ({**QR, "main_loaded": True, "mode": "MAIN"}, PageState.QR),
        ({**CONNECTED, "main_loaded": False}, PageState.SYNCING),
        ({**CONNECTED, "mode": "SYNCING"}, PageState.SYNCING),
        ({**CONNECTED, "mode": None, "main_loaded": False, "socket": "OPENING"}, PageState.SYNCING),
        ({**CONNECTED, "socket": "TIMEOUT"}, PageState.OFFLINE),
        ({**CONNECTED, "socket": "OPENING"}, PageState.OFFLINE),
        ({**CONNECTED, "main_loaded": False, "socket": "TIMEOUT"}, PageState.OFFLINE),
        ({**CONNECTED, "socket": "CONFLICT"}, PageState.CONFLICT),
        ({**CONNECTED, "mode": "CONFLICT"}, PageState.CONFLICT),
        ({**QR, "post_logout": True}, PageState.LOGGED_OUT),
        ({"post_logout": True}, PageState.LOGGED_OUT),
        ({**CONNECTED, "post_logout": True}, PageState.CONNECTED),
    ],
)
def test_state_of_facts(facts: dict[str, Any], state: PageState) -> None:
    assert read_snapshot(facts).state is state


def test_a_code_is_given_only_in_its_state() -> None:
    both = {**QR, "pairing_code": "ABCD1234"}
    assert read_snapshot(both).qr is None
    assert read_snapshot(both).pairing_code == "ABCD1234"
    assert read_snapshot({**CONNECTED, "qr": "x", "pairing_code": "y"}).qr is None


def test_codes_are_never_in_a_repr() -> None:
    assert "2@ref" not in repr(read_snapshot(QR))
    assert "ABCD1234" not in repr(read_snapshot({**QR, "pairing_code": "ABCD1234"}))


@pytest.mark.parametrize(
    ("me", "phone"),
    [
        ("5511999990000@c.us", "5511999990000"),
        ("5511999990000:12@c.us", "5511999990000"),
        ("5511999990000.0:12@s.whatsapp.net", None),
        ("12345@lid", None),
        ("", None),
        (None, None),
        ({"user": "1"}, None),
    ],
)
def test_the_phone_is_the_digits_of_the_own_number(me: object, phone: str | None) -> None:
    assert read_snapshot({**CONNECTED, "me": me}).phone == phone


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@given(raw=_JSON)
def test_nonsense_is_not_known(raw: object) -> None:
    assert read_snapshot(raw) == BOOTING


@given(
    facts=st.dictionaries(st.sampled_from([*CONNECTED, *QR, "post_logout", "missing_modules", "pairing_code"]), _JSON)
)
def test_nonsense_in_known_facts_never_makes_a_login(facts: dict[str, Any]) -> None:
    taken = read_snapshot(facts)
    assert isinstance(taken, PageSnapshot)
    if facts.get("authenticated") is not True:
        assert taken.state not in {PageState.CONNECTED, PageState.OFFLINE}
    assert taken.missing_modules >= 0
