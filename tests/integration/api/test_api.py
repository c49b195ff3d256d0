"""The API over a real Redis and real sockets."""

import asyncio
import re
from collections.abc import AsyncIterator

import httpx
import pytest

from daemon.core.clock import utc_now
from daemon.core.tokens import Scope
from daemon.registry.registry import Registry
from daemon.sessions.commands import Outcome, Reply
from daemon.sessions.outgoing import Text, outgoing_from_arguments
from daemon.sessions.record import SessionRecord
from daemon.sessions.states import SessionState
from tests.integration.api.conftest import SHARD, AnsweringShard, serving, settings_for
from tests.integration.api.test_doubt_api import token

SESSIONS = "/api/whatsapp/sessions"
SEND = "/api/whatsapp/send"
ID = "session-12-7"
MESSAGE = {"session_id": ID, "to": "+5511999990000", "message": "hello"}


async def _create(api: httpx.AsyncClient) -> None:
    answer = await api.post(SESSIONS, json={"workspace_id": 7, "user_id": 12})
    assert answer.status_code == 202, answer.text


async def test_a_session_is_created_once_and_placed(api: httpx.AsyncClient, shard: AnsweringShard) -> None:
    request = {"workspace_id": 7, "user_id": 12, "metadata": {"k": "v"}}
    answers = await asyncio.gather(*(api.post(SESSIONS, json=request) for _ in range(8)))
    assert sorted(answer.json()["created"] for answer in answers) == [False] * 7 + [True]
    shown = (await api.get(f"{SESSIONS}/{ID}")).json()
    assert (shown["shard"], shown["status"], shown["metadata"]) == (SHARD, "pending", {"k": "v"})


async def test_an_id_of_another_user_is_409(api: httpx.AsyncClient, shard: AnsweringShard) -> None:
    await _create(api)
    answer = await api.post(SESSIONS, json={"workspace_id": 8, "user_id": 12, "session_id": ID})
    assert (answer.status_code, answer.json()["code"]) == (409, "session_id_taken")


async def test_lists_are_paged_to_the_end_and_filtered(api: httpx.AsyncClient, shard: AnsweringShard) -> None:
    for user in range(7):
        await api.post(SESSIONS, json={"workspace_id": user % 2, "user_id": user})
    seen: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        page = (await api.get(SESSIONS, params={"limit": 3} | ({"cursor": cursor} if cursor else {}))).json()
        seen += [session["session_id"] for session in page["sessions"]]
        cursor = page["next_cursor"]
    assert len(seen) == len(set(seen)) == 7
    ones = (await api.get(SESSIONS, params={"workspace_id": "1", "status": "pending"})).json()["sessions"]
    assert {session["user_id"] for session in ones} == {"1", "3", "5"}


async def test_a_token_of_a_workspace_pages_past_the_others_and_hears_no_id_of_theirs(
    api: httpx.AsyncClient, registry: Registry
) -> None:
    at = utc_now()

    async def make(user: str, workspace: str) -> None:
        record = SessionRecord(
            session_id=f"session-{user}-{workspace}", workspace_id=workspace, user_id=user, created_at=at, status_at=at
        )
        assert await registry.records.create(record)

    for begin in range(0, 2100, 100):
        await asyncio.gather(*(make(f"{user:05}", "secretco") for user in range(begin, begin + 100)))
    await make("9", "7")
    headers = {"Authorization": f"Bearer {await token(registry, Scope.READ, workspaces=frozenset({'7'}))}"}
    first = (await api.get(SESSIONS, headers=headers)).json()
    assert first["sessions"] == [] and "secretco" not in first["next_cursor"]
    answer = await api.get(SESSIONS, headers=headers, params={"cursor": first["next_cursor"]})
    assert [one["session_id"] for one in answer.json()["sessions"]] == ["session-9-7"]
    assert answer.json()["next_cursor"] is None


async def test_the_qr_code_on_display_is_served_and_otherwise_the_state(
    api: httpx.AsyncClient, shard: AnsweringShard
) -> None:
    await _create(api)
    none = await api.get(f"{SESSIONS}/{ID}/qr")
    assert (none.status_code, none.json()["state"]) == (409, "pending")
    await shard.show(ID, SessionState.QR, qr="2@abc,def")
    assert (await api.get(f"{SESSIONS}/{ID}/qr", headers={"Accept": "text/plain"})).text == "2@abc,def"
    assert (await api.get(f"{SESSIONS}/{ID}/qr")).content.startswith(b"\x89PNG")


async def test_a_message_goes_to_the_shard_and_its_answer_comes_back(
    api: httpx.AsyncClient, shard: AnsweringShard
) -> None:
    await _create(api)
    await shard.show(ID, SessionState.CONNECTED)
    shard.reply = Reply(outcome=Outcome.DONE, result={"message_id": "m1", "ack": 1, "timestamp": 1_769_860_800})
    answer = await api.post(SEND, json=MESSAGE)
    assert answer.status_code == 200, answer.text
    assert answer.json()["message_id"] == "m1"
    (got,) = shard.got
    assert (got["kind"], got["session_id"], got["ticket"]) == ("send", ID, None)
    message = outgoing_from_arguments(got["message"])
    assert (message.to, message.content) == ("5511999990000@c.us", Text(text="hello"))
    assert re.fullmatch(r"3EB0[0-9A-F]{18}", message.message_id)


async def test_sending_while_not_connected_is_409_with_the_state(api: httpx.AsyncClient, shard: AnsweringShard) -> None:
    await _create(api)
    await shard.show(ID, SessionState.QR)
    answer = await api.post(SEND, json=MESSAGE)
    body = answer.json()
    assert (answer.status_code, body["code"]) == (409, "session_not_connected")
    assert (body["state"], body["outcome"], body["session_id"]) == ("qr", "not_sent", ID)


async def test_a_dead_shard_is_503_and_certainly_not_sent(
    api: httpx.AsyncClient, shard: AnsweringShard, registry: Registry
) -> None:
    await _create(api)
    await shard.show(ID, SessionState.CONNECTED)
    await registry.shards.leave(SHARD)
    answer = await api.post(SEND, json=MESSAGE)
    assert (answer.status_code, answer.json()["code"]) == (503, "shard_unavailable")
    assert answer.json()["outcome"] == "not_sent"
    assert shard.got == []


@pytest.mark.parametrize(
    ("claims", "code", "outcome"), [(True, "outcome_unknown", "unknown"), (False, "shard_unavailable", "not_sent")]
)
async def test_a_silent_shard_is_503_and_says_whether_it_had_begun(
    api: httpx.AsyncClient, shard: AnsweringShard, claims: bool, code: str, outcome: str
) -> None:
    await _create(api)
    await shard.show(ID, SessionState.CONNECTED)
    shard.reply, shard.claims = None, claims
    answer = await api.post(SEND, json=MESSAGE)
    assert (answer.status_code, answer.json()["code"], answer.json()["outcome"]) == (503, code, outcome)


async def test_stop_and_delete(api: httpx.AsyncClient, shard: AnsweringShard) -> None:
    await _create(api)
    assert (await api.post(f"{SESSIONS}/{ID}/stop")).json()["status"] == "stopped"
    assert (await api.post(f"{SESSIONS}/{ID}/stop")).status_code == 202
    assert (await api.post(f"{SESSIONS}/{ID}/start")).json()["desired"] == "running"
    assert (await api.delete(f"{SESSIONS}/{ID}")).status_code == 204
    assert (await api.get(f"{SESSIONS}/{ID}")).status_code == 404


async def _big(total: int) -> AsyncIterator[bytes]:
    for _ in range(total // 10_000):
        yield b" " * 10_000


async def test_a_large_body_gets_its_413_through_a_real_socket(api: httpx.AsyncClient) -> None:
    headers = {"Content-Type": "application/json"}
    for content in (b" " * 3_000_000, _big(3_000_000)):
        answer = await api.post(SESSIONS, content=content, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")
    assert (await api.get(SESSIONS)).status_code == 200


async def test_health_of_real_parts(api: httpx.AsyncClient, shard: AnsweringShard) -> None:
    redis = await api.get("/health/redis")
    assert (redis.status_code, redis.json()["connected"]) == (200, True)
    assert (await api.get("/health/ready")).status_code == 200
    store = await api.get("/health/r2")
    assert (store.status_code, store.json()["status"]) == (500, "unhealthy")
    whole = await api.get("/health")
    assert (whole.status_code, whole.json()["status"], whole.json()["r2"]) == (200, "degraded", "unhealthy")
    assert (await api.get("/api/whatsapp/shards")).json()["shards"][0]["name"] == SHARD


async def test_without_redis_everything_is_a_503_problem_and_never_a_404() -> None:
    settings = settings_for("redis://127.0.0.1:9")
    registry = Registry(settings)
    async with serving(registry, settings) as api:
        for answer in (await api.get(f"{SESSIONS}/{ID}"), await api.post(SEND, json=MESSAGE)):
            assert (answer.status_code, answer.json()["code"]) == (503, "redis_unavailable")
        assert answer.json()["outcome"] in {"not_sent", "unknown"}
        assert (await api.get("/health/ready")).status_code == 503
        assert (await api.get("/health")).json()["status"] == "unhealthy"
        assert (await api.get("/health/live")).status_code == 200
    await registry.close()
