"""Routes of sessions: what is accepted, and how a session is shown."""

from typing import Any

import httpx
import pytest

from daemon.sessions.record import CopyFacts
from daemon.sessions.states import SessionState
from tests.unit.api.directory_double import NOW, DirectoryDouble

SESSIONS = "/api/whatsapp/sessions"


async def test_create_answers_the_same_session_twice_and_says_which_time_made_it(api: httpx.AsyncClient) -> None:
    request = {"workspace_id": 3, "user_id": 44, "phone": "+5511999990000", "metadata": {"team": "red"}}
    first, second = await api.post(SESSIONS, json=request), await api.post(SESSIONS, json=request)
    assert (first.status_code, second.status_code) == (202, 202)
    assert first.json()["created"] is True
    assert second.json()["created"] is False
    assert first.json()["session_id"] == second.json()["session_id"] == "session-44-3"
    assert first.headers["location"] == f"{SESSIONS}/session-44-3"
    assert first.json()["metadata"] == {"team": "red"}


@pytest.mark.parametrize(
    ("field", "body"),
    [
        ("workspace_id", {"user_id": "1"}),
        ("workspace_id", {"workspace_id": "../etc", "user_id": "1"}),
        ("workspace_id", {"workspace_id": "a:b", "user_id": "1"}),
        ("workspace_id", {"workspace_id": "", "user_id": "1"}),
        ("workspace_id", {"workspace_id": True, "user_id": "1"}),
        ("workspace_id", {"workspace_id": -4, "user_id": "1"}),
        ("workspace_id", {"workspace_id": 1.5, "user_id": "1"}),
        ("user_id", {"workspace_id": "1", "user_id": "1\n"}),
        ("user_id", {"workspace_id": "1", "user_id": "x" * 101}),
        ("user_id", {"workspace_id": "1", "user_id": "é"}),
        ("session_id", {"workspace_id": "1", "user_id": "1", "session_id": "a/b"}),
        ("session_id", {"workspace_id": "w" * 60, "user_id": "u" * 60}),
        ("phone", {"workspace_id": "1", "user_id": "1", "phone": "0551199"}),
        ("phone", {"workspace_id": "1", "user_id": "1", "phone": "+55 11 99999"}),
        ("phone", {"workspace_id": "1", "user_id": "1", "phone": 5511999990000}),
        ("metadata.a", {"workspace_id": "1", "user_id": "1", "metadata": {"a": 1}}),
        ("metadata", {"workspace_id": "1", "user_id": "1", "metadata": {str(n): "" for n in range(21)}}),
        ("workspaceId", {"workspace_id": "1", "user_id": "1", "workspaceId": "1"}),
    ],
)
async def test_a_bad_field_is_422_and_named(api: httpx.AsyncClient, field: str, body: dict[str, Any]) -> None:
    answer = await api.post(SESSIONS, json=body)
    assert answer.status_code == 422, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["code"] == "invalid_input"
    assert field in [error["field"] for error in answer.json()["errors"]]


async def test_half_an_emoji_in_a_name_is_shown(api: httpx.AsyncClient, directory: DirectoryDouble) -> None:
    directory.add("s1", pushname="Ana \ud83d")
    assert (await api.get(f"{SESSIONS}/s1")).json()["pushname"] == "Ana ?"


async def test_a_session_is_shown_whole(api: httpx.AsyncClient, directory: DirectoryDouble) -> None:
    facts: dict[str, Any] = {"at": NOW, "size_bytes": 9, "token": 2, "generation": 3, "clean": True}
    directory.add(
        "s1",
        status=SessionState.CONNECTED,
        phone="5511999990000",
        paired=True,
        token=2,
        hot_copy=CopyFacts(**facts, content_digest="d"),
        archive=CopyFacts(**facts, content_digest="d", key="workspace_7/s1/t.zip"),
    )
    shown = (await api.get(f"{SESSIONS}/s1")).json()
    at = "2026-01-31T12:00:00.005Z"
    copy = {"at": at, "size_bytes": 9, "token": 2, "generation": 3, "clean": True}
    assert shown == {
        "session_id": "s1", "workspace_id": "7", "user_id": "12", "metadata": {}, "status": "connected",
        "desired": "running", "reason": None, "retry_at": None, "shard": None,
        "runs_on": None, "moving_from": None, "active_at": None, "phone": "5511999990000",
        "pushname": None, "paired": True, "hot_copy": copy, "hot_copy_reason": None,
        "archive": copy | {"key": "workspace_7/s1/t.zip"},
        "last_backup_at": at, "restored_from": None, "restored_at": None, "created_at": at, "status_at": at, "token": 2,
    }  # fmt: skip


@pytest.mark.parametrize("action", ["start", "stop", "restart", "logout", "backup"])
async def test_an_action_answers_202_with_the_session(
    api: httpx.AsyncClient, directory: DirectoryDouble, action: str
) -> None:
    answer = await api.post(f"{SESSIONS}/session-12-7/{action}")
    assert answer.status_code == 202
    assert answer.json()["session_id"] == "session-12-7"
    assert (action, "session-12-7") in directory.calls


async def test_an_unknown_session_is_404_on_every_route(api: httpx.AsyncClient) -> None:
    base = f"{SESSIONS}/nobody"
    actions = [await api.post(f"{base}/{name}") for name in ("start", "stop", "restart", "logout", "backup")]
    others = [await api.get(base), await api.get(f"{base}/qr"), await api.delete(base)]
    code = await api.post(f"{base}/pairing-code", json={"phone": "5511999990000"})
    for answer in [*actions, *others, code]:
        assert answer.status_code == 404
        assert answer.json()["code"] == "session_not_found"
        assert "nobody" not in answer.text


async def test_delete_answers_204_once_and_then_404(api: httpx.AsyncClient) -> None:
    assert (await api.delete(f"{SESSIONS}/session-12-7")).status_code == 204
    assert (await api.delete(f"{SESSIONS}/session-12-7")).status_code == 404


async def test_list_passes_filters_on(api: httpx.AsyncClient, directory: DirectoryDouble) -> None:
    answer = await api.get(SESSIONS, params={"status": "qr", "workspace_id": "7", "shard": "shard_00", "limit": "5"})
    assert answer.json()["next_cursor"] is None
    assert directory.calls == [("list", (None, 5, SessionState.QR, "7", "shard_00"))]


@pytest.mark.parametrize(
    ("field", "value"),
    [("status", "asleep"), ("limit", "0"), ("limit", "x"), ("limit", "501"), ("shard", "../x"), ("cursor", "a b"),
     ("cursor", "session-12-7")],
)  # fmt: skip
async def test_a_bad_filter_is_422_and_named(api: httpx.AsyncClient, field: str, value: str) -> None:
    answer = await api.get(SESSIONS, params={field: value})
    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == [field]


@pytest.mark.parametrize("bad", ["a%20b", "a.b", "%00", "x" * 101, "a%7Bb%7D", "%2E%2E", "a%0A"])
async def test_an_id_in_a_path_cannot_be_anything_but_an_id(
    api: httpx.AsyncClient, directory: DirectoryDouble, bad: str
) -> None:
    answer = await api.get(f"{SESSIONS}/{bad}/qr")
    assert answer.status_code in {404, 422}
    assert directory.calls == []


async def test_a_pairing_code_is_not_kept_by_anybody_on_the_way(api: httpx.AsyncClient) -> None:
    answer = await api.post(f"{SESSIONS}/session-12-7/pairing-code", json={"phone": "+5511999990000"})
    assert answer.status_code == 200
    assert answer.json() == {"code": "ABCD1234", "phone": "5511999990000", "seen_at": "2026-01-31T12:00:00.005Z"}
    assert answer.headers["cache-control"] == "no-store"
