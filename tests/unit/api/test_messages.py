"""Sending: which session is meant, and what a caller learns about "did it go out?"."""

import json
from typing import Any

import httpx
import pytest

from daemon.core.errors import (
    ActionFailedError,
    OutcomeUnknownError,
    RedisUnavailableError,
    SessionNotConnectedError,
    ShardUnavailableError,
)
from tests.unit.api.directory_double import DirectoryDouble

SEND = "/api/whatsapp/send"
GOOD = {"session_id": "session-12-7", "to": "+5511999990000", "message": "hello"}


@pytest.mark.parametrize(
    "named",
    [{"session_id": "session-12-7"}, {"workspace_id": 7, "user_id": 12}, {"workspace_id": "7", "user_id": "12"}],
)
async def test_a_message_goes_out(api: httpx.AsyncClient, directory: DirectoryDouble, named: dict[str, Any]) -> None:
    answer = await api.post(SEND, json=named | {"to": "+5511999990000", "message": "hello"})
    assert answer.status_code == 200
    assert answer.json() == {
        "message_id": "true_x_1", "session_id": "session-12-7", "outcome": "sent", "ack": 1,
        "timestamp": "2026-01-31T12:00:00.000Z",
    }  # fmt: skip
    assert ("send_text", ("session-12-7", "5511999990000@c.us", "hello")) in directory.calls


@pytest.mark.parametrize("to", ["12036304-1612345678@g.us", "120363041234567890@g.us", "98765432@lid"])
async def test_chat_ids_pass_as_they_are(api: httpx.AsyncClient, directory: DirectoryDouble, to: str) -> None:
    await api.post(SEND, json=GOOD | {"to": to})
    assert directory.calls[-2][1][1] == to


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
    directory.fails["send_text"] = error
    answer = await api.post(SEND, json=GOOD)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["outcome"] == outcome
    assert "5511999990000" not in answer.text
    assert ("retry-after" in answer.headers) == (getattr(error, "retryable", False))


async def test_not_connected_tells_the_state(api: httpx.AsyncClient, directory: DirectoryDouble) -> None:
    directory.fails["send_text"] = SessionNotConnectedError("no", session_id="session-12-7", state="qr")
    assert (await api.post(SEND, json=GOOD)).json()["state"] == "qr"


async def test_redis_gone_before_the_session_was_found_is_certainly_not_sent(
    api: httpx.AsyncClient, directory: DirectoryDouble
) -> None:
    directory.fails["get"] = RedisUnavailableError("gone")
    answer = await api.post(SEND, json={"workspace_id": 7, "user_id": 12, "to": "5511999990000", "message": "x"})
    assert (answer.status_code, answer.json()["outcome"]) == (503, "not_sent")


async def test_a_message_never_leaves_from_the_account_of_another_workspace(
    api: httpx.AsyncClient, directory: DirectoryDouble
) -> None:
    directory.add("session-1-2-3", user_id="1-2", workspace_id="3")
    body = {"user_id": "1", "workspace_id": "2-3", "to": "5511999990000", "message": "x"}
    answer = await api.post(SEND, json=body)
    assert (answer.status_code, answer.json()["code"]) == (404, "session_not_found")
    assert "send_text" not in [name for name, _ in directory.calls]
