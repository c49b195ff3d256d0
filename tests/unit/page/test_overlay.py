"""The bytes of an overlay."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.core.errors import ArchiveDamagedError
from shards.page.overlay import MAX_BYTES, Overlay

COOKIE = {"name": "wa_ul", "value": "v", "domain": ".whatsapp.com", "path": "/", "secure": True, "expires": 1.5}
GOOD = {"origin": "https://web.whatsapp.com", "local_storage": {"a": "b"}, "cookies": [COOKIE]}


@given(st.dictionaries(st.text(), st.text()))
def test_every_text_survives(storage: dict[str, str]) -> None:
    overlay = Overlay(origin="https://web.whatsapp.com", local_storage=storage, cookies=(COOKIE,))
    assert Overlay.from_json(overlay.to_json()) == overlay


def test_a_half_of_a_surrogate_pair_survives() -> None:
    overlay = Overlay(origin="https://web.whatsapp.com", local_storage={"k": "\ud800"}, cookies=())
    assert Overlay.from_json(overlay.to_json()).local_storage == {"k": "\ud800"}


def test_equal_overlays_give_equal_bytes() -> None:
    one = Overlay(origin="o", local_storage={"a": "1", "b": "2"}, cookies=())
    two = Overlay(origin="o", local_storage={"b": "2", "a": "1"}, cookies=())
    assert one.to_json() == two.to_json()


def test_secrets_are_not_in_a_repr() -> None:
    assert "b" not in repr(Overlay.from_json(json.dumps({**GOOD, "origin": "https://x"}).encode())).partition("(")[2]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff",
        b"[]",
        b"null",
        b"{}",
        b"[" * 100_000,
        json.dumps({**GOOD, "origin": "file:///etc"}).encode(),
        json.dumps({**GOOD, "origin": 1}).encode(),
        json.dumps({**GOOD, "local_storage": {"a": 1}}).encode(),
        json.dumps({**GOOD, "local_storage": []}).encode(),
        json.dumps({**GOOD, "cookies": {}}).encode(),
        json.dumps({**GOOD, "cookies": [{**COOKIE, "url": "https://evil"}]}).encode(),
        json.dumps({**GOOD, "cookies": [{**COOKIE, "value": None}]}).encode(),
        b" " * (2 * MAX_BYTES + 1),
    ],
    ids=range(14),
)
def test_anything_else_is_damaged(content: bytes) -> None:
    with pytest.raises(ArchiveDamagedError):
        Overlay.from_json(content)
