"""The four forms of a QR code, and choosing between them."""

import base64

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.api.accept import choose
from daemon.api.qr import OFFERS
from daemon.core.errors import CodeNotAvailableError
from tests.unit.api.directory_double import DirectoryDouble

QR = "/api/whatsapp/sessions/session-12-7/qr"


@pytest.mark.parametrize(
    ("accept", "media", "begins"),
    [
        ("*/*", "image/png", b"\x89PNG"),
        ("image/png", "image/png", b"\x89PNG"),
        ("image/svg+xml", "image/svg+xml", b"<?xml"),
        ("text/plain", "text/plain; charset=utf-8", b"2@scan+me/now==,abc,def"),
        ("application/json", "application/json", b'{"text":"2@scan'),
        ("text/html,application/xhtml+xml,image/avif,*/*;q=0.8", "image/png", b"\x89PNG"),
        ("image/png;q=0.1, application/json", "application/json", b"{"),
    ],
)
async def test_accept_chooses_the_form(api: httpx.AsyncClient, accept: str, media: str, begins: bytes) -> None:
    answer = await api.get(QR, headers={"Accept": accept})
    assert answer.status_code == 200
    assert answer.headers["content-type"] == media
    assert answer.content.startswith(begins)
    assert answer.headers["cache-control"] == "no-store"


async def test_json_holds_the_png(api: httpx.AsyncClient) -> None:
    body = (await api.get(QR, headers={"Accept": "application/json"})).json()
    assert base64.b64decode(body["image"].removeprefix("data:image/png;base64,")).startswith(b"\x89PNG")
    assert body["seen_at"] == "2026-01-31T12:00:00.005Z"


async def test_another_form_is_406(api: httpx.AsyncClient) -> None:
    answer = await api.get(QR, headers={"Accept": "application/pdf"})
    assert (answer.status_code, answer.json()["code"]) == (406, "not_acceptable")


async def test_no_code_on_display_is_409_with_the_state(api: httpx.AsyncClient, directory: DirectoryDouble) -> None:
    directory.fails["qr"] = CodeNotAvailableError("none", hint="wait", session_id="session-12-7", state="starting")
    answer = await api.get(QR)
    assert answer.status_code == 409
    assert answer.json() == {
        "type": "urn:blazz:error:code_not_available", "title": "Code not available", "status": 409,
        "code": "code_not_available", "detail": "none", "hint": "wait", "session_id": "session-12-7",
        "state": "starting",
    }  # fmt: skip


def test_a_refused_form_is_not_chosen_through_a_wildcard() -> None:
    assert choose("image/*;q=0.5, image/png;q=0", OFFERS) == "image/svg+xml"
    assert choose("*/*;q=0", OFFERS) is None
    assert choose(None, OFFERS) == choose(" ", OFFERS) == "image/png"


@given(st.text())
def test_any_accept_header_can_be_read(text: str) -> None:
    assert choose(text, OFFERS) in {*OFFERS, None}
