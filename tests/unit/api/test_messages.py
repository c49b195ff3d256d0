"""Sending: which session is meant, and what a caller learns about "did it go out?"."""

import base64
import json
from typing import Any

import httpx
import pytest

from daemon.core.errors import (
    ActionFailedError,
    OutcomeUnknownError,
    RedisUnavailableError,
    SendQueueFullError,
    SessionNotConnectedError,
    ShardUnavailableError,
)
from daemon.sessions.outgoing import ContactCard, Location, Media, MediaKind, Reaction, Text
from tests.unit.api.directory_double import DirectoryDouble, FetchedMedia, Sending

SEND = "/api/whatsapp/send"
TO = {"session_id": "session-12-7", "to": "+5511999990000"}
QUOTED = "false_5511888880001@c.us_3A5F0C6D7E8F90A1B2C3"
GOOD = {"session_id": "session-12-7", "to": "+5511999990000", "message": "hello"}


def _asked(directory: DirectoryDouble) -> Sending:
    (sending,) = (what for name, what in directory.calls if name == "send")
    assert isinstance(sending, Sending)
    return sending


@pytest.mark.parametrize(
    "named",
    [{"session_id": "session-12-7"}, {"workspace_id": 7, "user_id": 12}, {"workspace_id": "7", "user_id": "12"}],
)
async def test_a_message_goes_out(api: httpx.AsyncClient, directory: DirectoryDouble, named: dict[str, Any]) -> None:
    answer = await api.post(SEND, json=named | {"to": "+5511999990000", "message": "hello"})
    assert answer.status_code == 200
    assert answer.json() == {
        "message_id": "true_x_1", "session_id": "session-12-7", "outcome": "sent", "ack": 1,
        "timestamp": "2026-01-31T12:00:00.000Z", "replayed": False,
    }  # fmt: skip
    assert _asked(directory) == Sending("session-12-7", "5511999990000@c.us", Text(text="hello"), None, None, None)


@pytest.mark.parametrize("to", ["12036304-1612345678@g.us", "120363041234567890@g.us", "98765432@lid"])
async def test_chat_ids_pass_as_they_are(api: httpx.AsyncClient, directory: DirectoryDouble, to: str) -> None:
    await api.post(SEND, json=GOOD | {"to": to})
    assert _asked(directory).to == to


@pytest.mark.parametrize(
    ("field", "body"),
    [
        ("body", {"to": "5511999990000", "message": "x"}),
        ("body", {"workspace_id": 1, "to": "5511999990000", "message": "x"}),
        ("body", GOOD | {"workspace_id": 1, "user_id": 2}),
        ("to", GOOD | {"to": "0"}),
        ("to", GOOD | {"to": "someone@example.com"}),
        ("to", GOOD | {"to": "5511999990000@c.us\n"}),
        ("message", GOOD | {"message": ""}),
        ("message", GOOD | {"message": "\ud800"}),
        ("message", GOOD | {"message": ["x"]}),
        ("media", GOOD | {"media": "x"}),
        ("body", GOOD | {"location": {"latitude": 1, "longitude": 2}}),
        ("body", TO | {"reaction": {"message_id": QUOTED, "emoji": "x"}, "reply_to": QUOTED}),
        ("body", TO),
        ("location.latitude", TO | {"location": {"latitude": 91, "longitude": 2}}),
        ("contact.phone", TO | {"contact": {"name": "M", "phone": "abc"}}),
        ("media.data", TO | {"media": {"data": "=====", "mimetype": "text/plain"}}),
        ("media.mimetype", TO | {"media": {"data": "SGVsbG8=", "mimetype": "plain"}}),
        ("media.filename", TO | {"media": {"data": "SGVsbG8=", "mimetype": "a/b", "filename": "../x"}}),
        ("kind", TO | {"media": {"data": "SGVsbG8=", "mimetype": "text/plain", "kind": "image"}}),
        ("reply_to", GOOD | {"reply_to": "x y"}),
    ],
)
async def test_a_bad_field_is_422_named_and_not_sent(
    api: httpx.AsyncClient, directory: DirectoryDouble, field: str, body: dict[str, Any]
) -> None:
    # json.dumps escapes a lone surrogate, as other languages' clients do; httpx would refuse to encode it.
    answer = await api.post(SEND, content=json.dumps(body), headers={"Content-Type": "application/json"})
    assert answer.status_code == 422, answer.text
    assert [error["field"] for error in answer.json()["errors"]] == [field]
    assert answer.json()["outcome"] == "not_sent"
    assert directory.calls == []


@pytest.mark.parametrize(
    ("error", "status", "outcome"),
    [
        (SessionNotConnectedError("no", session_id="session-12-7", state="qr"), 409, "not_sent"),
        (ShardUnavailableError("down", outcome="not_sent"), 503, "not_sent"),
        (ActionFailedError("refused", outcome="not_sent", cause="page_call_failed"), 502, "not_sent"),
        (OutcomeUnknownError("silent", outcome="unknown"), 503, "unknown"),
        (RedisUnavailableError("gone"), 503, "unknown"),
        (RuntimeError("a bug with +5511999990000 in it"), 500, "unknown"),
    ],
)
async def test_every_failure_says_whether_it_may_have_gone_out(
    api: httpx.AsyncClient, directory: DirectoryDouble, error: Exception, status: int, outcome: str
) -> None:
    directory.fails["send"] = error
    answer = await api.post(SEND, json=GOOD)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["outcome"] == outcome
    assert "5511999990000" not in answer.text
    assert ("retry-after" in answer.headers) == (getattr(error, "retryable", False))


async def test_not_connected_tells_the_state(api: httpx.AsyncClient, directory: DirectoryDouble) -> None:
    directory.fails["send"] = SessionNotConnectedError("no", session_id="session-12-7", state="qr")
    assert (await api.post(SEND, json=GOOD)).json()["state"] == "qr"


async def test_a_message_never_leaves_from_the_account_of_another_workspace(
    api: httpx.AsyncClient, directory: DirectoryDouble
) -> None:
    directory.add("session-1-2-3", user_id="1-2", workspace_id="3")
    body = {"user_id": "1", "workspace_id": "2-3", "to": "5511999990000", "message": "x"}
    answer = await api.post(SEND, json=body)
    assert (answer.status_code, answer.json()["code"]) == (404, "session_not_found")
    assert "send" not in [name for name, _ in directory.calls]


@pytest.mark.parametrize(
    ("content", "sent"),
    [
        (
            {"location": {"latitude": -23.5, "longitude": -46.6, "name": "Here"}},
            Location(latitude=-23.5, longitude=-46.6, name="Here"),
        ),
        ({"contact": {"name": "Maria", "phone": "+5511999990001"}}, ContactCard(name="Maria", phone="5511999990001")),
        ({"reaction": {"message_id": QUOTED, "emoji": ""}}, Reaction(message_id=QUOTED, emoji="")),
    ],
)
async def test_what_is_no_text_nor_file(
    api: httpx.AsyncClient, directory: DirectoryDouble, content: dict[str, Any], sent: object
) -> None:
    answer = await api.post(SEND, json=TO | content)
    assert answer.status_code == 200, answer.text
    assert _asked(directory).content == sent


@pytest.mark.parametrize(
    ("mimetype", "kind", "shown", "name"),
    [
        ("image/png", None, MediaKind.IMAGE, "image.png"),
        ("video/mp4", None, MediaKind.VIDEO, "video.mp4"),
        ("audio/ogg; codecs=opus", "voice", MediaKind.VOICE, "voice.ogg"),
        ("application/pdf", None, MediaKind.DOCUMENT, "document.pdf"),
        ("image/png", "document", MediaKind.DOCUMENT, "document.png"),
    ],
)
async def test_a_file_goes_as_base64_or_as_a_form_and_is_the_same(
    api: httpx.AsyncClient, directory: DirectoryDouble, mimetype: str, kind: str | None, shown: MediaKind, name: str
) -> None:
    chosen = {"kind": kind} if kind else {}
    media = {"data": "SGVsbG8=", "mimetype": mimetype, "caption": "c"} | chosen
    answer = await api.post(SEND, json=TO | {"media": media, "reply_to": QUOTED})
    assert answer.status_code == 200, answer.text
    by_base64 = _asked(directory)
    assert isinstance(by_base64.content, Media)
    assert (by_base64.content.kind, by_base64.content.filename, by_base64.body) == (shown, name, b"Hello")
    directory.calls.clear()
    form = TO | {"caption": "c", "reply_to": QUOTED} | chosen
    answer = await api.post(f"{SEND}/file", data=form, files={"file": (name, b"Hello", mimetype)})
    assert answer.status_code == 200, answer.text
    assert _asked(directory) == by_base64


async def test_a_file_over_the_limit_is_413_and_one_in_a_wrong_form_is_422(
    api: httpx.AsyncClient, directory: DirectoryDouble
) -> None:
    too_much = base64.b64encode(b"x" * 4097).decode()
    answers = [
        await api.post(SEND, json=TO | {"media": {"data": too_much, "mimetype": "text/plain"}}),
        await api.post(f"{SEND}/file", data=TO, files={"file": ("a.txt", b"x" * 4097, "text/plain")}),
        await api.post(f"{SEND}/file", data=TO, files={"file": ("a.txt", b"x" * 100_000, "text/plain")}),
    ]
    assert {(answer.status_code, answer.json()["code"]) for answer in answers} == {(413, "body_too_large")}
    assert {answer.json()["outcome"] for answer in answers} == {"not_sent"}
    for form, files in [
        ({"to": "+5511999990000"}, {"file": ("a.txt", b"x", "text/plain")}),
        (TO, {"file": ("a.txt", b"", "text/plain")}),
        (TO, {"file": ("a.txt", b"x", "text")}),
        (TO, {}),
        (TO | {"captoin": "c"}, {"file": ("a.txt", b"x", "text/plain")}),
        (TO | {"message": "m"}, {"file": ("a.txt", b"x", "text/plain")}),
        (TO, [("file", ("a.txt", b"x", "text/plain")), ("file", ("b.txt", b"y", "text/plain"))]),
        (TO | {"caption": ["c", "d"]}, {"file": ("a.txt", b"x", "text/plain")}),
    ]:
        answer = await api.post(f"{SEND}/file", data=form, files=files)
        assert (answer.status_code, answer.json()["code"], answer.json()["outcome"]) == (
            422, "invalid_input", "not_sent",
        ), answer.text  # fmt: skip
    assert directory.calls == []


async def test_the_key_goes_along_and_a_strange_one_is_refused(
    api: httpx.AsyncClient, directory: DirectoryDouble
) -> None:
    await api.post(SEND, json=GOOD, headers={"Idempotency-Key": "order/17#a"})
    assert _asked(directory).key == "order/17#a"
    for key in ("", "x" * 256, "a b"):
        answer = await api.post(SEND, json=GOOD, headers={"Idempotency-Key": key})
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "Idempotency-Key")


async def test_a_full_queue_is_429_and_says_when_to_come_again(
    api: httpx.AsyncClient, directory: DirectoryDouble
) -> None:
    full = SendQueueFullError("full", outcome="not_sent")
    full.retry_after_s = 7.2
    directory.fails["send"] = full
    answer = await api.post(SEND, json=GOOD)
    assert (answer.status_code, answer.json()["code"], answer.headers["retry-after"]) == (429, "send_queue_full", "8")


async def test_an_unknown_outcome_stays_unknown_whatever_the_error_is(
    api: httpx.AsyncClient, directory: DirectoryDouble
) -> None:
    directory.fails["send"] = SessionNotConnectedError("no", state="starting", outcome="unknown", message_id="3EB0")
    answer = await api.post(SEND, json=GOOD, headers={"Idempotency-Key": "k"})
    assert (answer.status_code, answer.json()["outcome"], answer.json()["message_id"]) == (409, "unknown", "3EB0")


async def test_the_outcome_of_a_key_numbers_and_media(api: httpx.AsyncClient, directory: DirectoryDouble) -> None:
    session = "/api/whatsapp/sessions/session-12-7"
    told = (await api.get(f"{session}/sends/order%2F17%23a")).json()
    assert (told["outcome"], told["message_id"], told["ack"]) == ("sent", "true_x_1", 2)
    assert ("send_outcome", "order/17#a") in directory.calls
    assert (await api.get(f"{session}/contacts/5511999990001")).json() == {
        "phone": "5511999990001", "exists": True, "chat_id": "5511999990001@c.us",
    }  # fmt: skip
    assert (await api.get(f"{session}/contacts/%2B5511999990000")).json()["exists"] is False
    media = await api.get(f"{session}/messages/{QUOTED}/media")
    assert (media.content, media.headers["content-type"]) == (b"\x89PNG", "image/png")
    assert media.headers["content-disposition"] == "attachment; filename*=UTF-8''a%20b%C3%A9.png"


@pytest.mark.parametrize(
    ("mimetype", "filename", "told_type", "told_name"),
    [
        ("image/png\r\nX-Evil: 1", "a\r\nX-Evil: 1", "application/octet-stream", "a%0D%0AX-Evil%3A%201"),
        ("image/\u20ac", "\ud800", "application/octet-stream", "%3F"),
        ("text/html; charset=utf-8", '";/x', "text/html; charset=utf-8", "%22%3B%2Fx"),
        ("AUDIO/OGG; codecs=opus", "", "AUDIO/OGG; codecs=opus", None),
    ],
)
async def test_type_and_name_of_a_strangers_file_break_nothing(
    api: httpx.AsyncClient, directory: DirectoryDouble, mimetype: str, filename: str, told_type: str,
    told_name: str | None,
) -> None:  # fmt: skip
    directory.file = FetchedMedia(content=b"x", mimetype=mimetype, filename=filename)
    answer = await api.get(f"/api/whatsapp/sessions/session-12-7/messages/{QUOTED}/media")
    assert (answer.status_code, answer.content, answer.headers["content-type"]) == (200, b"x", told_type)
    name = "" if told_name is None else f"; filename*=UTF-8''{told_name}"
    assert answer.headers["content-disposition"] == f"attachment{name}"
    assert "x-evil" not in answer.headers


@pytest.mark.parametrize(
    "body",
    [
        {str(number): 1 for number in range(400)},
        GOOD | {"contact": {str(number): 1 for number in range(400)}},
        [1] * 1000,
    ],
)
async def test_a_body_of_many_wrong_fields_gets_a_short_answer(api: httpx.AsyncClient, body: Any) -> None:
    answer = await api.post(SEND, json=body)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_input")
    assert len(answer.json()["errors"]) <= 20
    assert len(answer.text) < 4000
