"""What is said of a message that may have gone out before: never "certainly not", whoever refuses the next try."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

from daemon.core.clock import utc_now
from daemon.core.tokens import ApiToken, Scope, digest_of, new_token
from daemon.registry import keys
from daemon.registry.registry import Registry
from daemon.sessions.commands import Command, Outcome, Reply
from daemon.sessions.sends import fingerprint, key_digest, message_id_of
from daemon.sessions.states import SessionState
from tests.integration.api.conftest import AnsweringShard, serving, settings_for

SESSIONS, SEND = "/api/whatsapp/sessions", "/api/whatsapp/send"
KEY = {"Idempotency-Key": "k"}
SENT = Reply(outcome=Outcome.DONE, result={"message_id": "true_1@c.us_3EB0", "ack": 1, "timestamp": 1})


async def connected(api: httpx.AsyncClient, shard: AnsweringShard, user: int = 1) -> str:
    await api.post(SESSIONS, json={"workspace_id": 7, "user_id": user})
    session_id = f"session-{user}-7"
    await shard.show(session_id, SessionState.CONNECTED)
    return session_id


@pytest.fixture(params=["session_id", "workspace_id and user_id"])
def by_owner(request: pytest.FixtureRequest) -> bool:
    """Which way the tests that use `send` name the session."""
    return bool(request.param != "session_id")


Send = Callable[..., Awaitable[tuple[int, str, str]]]


@pytest.fixture
def send(api: httpx.AsyncClient, by_owner: bool) -> Send:
    async def call(session_id: str, *, key: bool = True, **headers: str) -> tuple[int, str, str]:
        _, user, workspace = session_id.split("-")
        named = {"workspace_id": workspace, "user_id": user} if by_owner else {"session_id": session_id}
        body = named | {"to": "+5511999990000", "message": "x"}
        answer = await api.post(SEND, json=body, headers=(KEY if key else {}) | headers)
        said: dict[str, Any] = answer.json()
        return answer.status_code, said.get("code", ""), said["outcome"]

    return call


async def known(api: httpx.AsyncClient, session_id: str) -> str:
    return str((await api.get(f"{SESSIONS}/{session_id}/sends/k")).json()["outcome"])


async def test_a_try_that_redis_refuses_after_a_doubtful_one_is_unknown(
    api: httpx.AsyncClient, registry: Registry, shard: AnsweringShard, send: Send
) -> None:
    session_id, shard.reply = await connected(api, shard), None
    assert (await send(session_id))[1:] == ("outcome_unknown", "unknown")
    await registry.link.text.execute_command("CLIENT", "PAUSE", "4000", "ALL")
    assert await send(session_id) == (503, "redis_unavailable", "unknown")
    await asyncio.sleep(4)
    assert await known(api, session_id) == "unknown"


async def test_redis_gone_before_the_session_was_found_is_certainly_not_sent_without_a_key(
    api: httpx.AsyncClient, registry: Registry, shard: AnsweringShard, send: Send
) -> None:
    session_id = await connected(api, shard)
    await registry.link.text.execute_command("CLIENT", "PAUSE", "4000", "ALL")
    assert await send(session_id, key=False) == (503, "redis_unavailable", "not_sent")


async def test_a_try_after_the_session_was_deleted_is_unknown_and_a_first_one_is_not_sent(
    api: httpx.AsyncClient, shard: AnsweringShard, send: Send
) -> None:
    assert await send("session-none-7") == (404, "session_not_found", "not_sent")
    session_id, shard.reply = await connected(api, shard), None
    await send(session_id)
    assert (await api.delete(f"{SESSIONS}/{session_id}")).status_code == 204
    assert await send(session_id) == (404, "session_not_found", "unknown")


async def test_a_key_that_redis_may_have_lost_is_never_called_not_sent(
    api: httpx.AsyncClient, registry: Registry, shard: AnsweringShard, send: Send
) -> None:
    session_id, shard.reply = await connected(api, shard), SENT
    assert await send(session_id) == (200, "", "sent")
    for key in [key async for key in registry.link.text.scan_iter("*send*")]:
        await registry.link.text.delete(key)
    await registry.link.text.hset(keys.EPOCH, "lost", "1")  # as a Redis that was set back says it
    await shard.show(session_id, SessionState.SYNCING)
    assert await send(session_id) == (409, "session_not_connected", "unknown")
    assert await known(api, session_id) == "unknown"
    await registry.link.text.delete(keys.record(session_id))
    for key in [key async for key in registry.link.text.scan_iter("*send*")]:
        await registry.link.text.delete(key)
    assert await send(session_id) == (404, "session_not_found", "unknown")
    assert await send(session_id, key=False) == (404, "session_not_found", "not_sent")


async def test_what_is_known_of_a_key_that_redis_may_have_lost_is_that_nobody_knows(
    api: httpx.AsyncClient, registry: Registry, shard: AnsweringShard
) -> None:
    session_id = await connected(api, shard)
    path = f"{SESSIONS}/{session_id}/sends/k"
    assert (await api.get(path)).status_code == 404
    await registry.link.text.hset(keys.EPOCH, "lost", "1")
    answer = await api.get(path)
    assert (answer.status_code, answer.json()["outcome"], answer.json()["message_id"]) == (200, "unknown", None)


async def test_a_limited_token_hears_what_is_certain_and_nothing_of_other_workspaces(
    api: httpx.AsyncClient, registry: Registry, shard: AnsweringShard, send: Send
) -> None:
    session_id, shard.reply = await connected(api, shard), None
    mine = {"Authorization": f"Bearer {await token(registry, Scope.SEND, workspaces=frozenset({'7'}))}"}
    other = {"Authorization": f"Bearer {await token(registry, Scope.SEND, workspaces=frozenset({'8'}))}"}
    for who in (mine, other):
        assert await send("session-none-7", **who) == (404, "session_not_found", "not_sent")
    assert await send(session_id, **other) == (404, "session_not_found", "not_sent")
    assert (await send(session_id, **mine))[1:] == ("outcome_unknown", "unknown")
    assert await send(session_id, **other) == (404, "session_not_found", "not_sent"), "whatever others did with the key"
    assert (await api.delete(f"{SESSIONS}/{session_id}")).status_code == 204
    assert await send(session_id, **mine) == (404, "session_not_found", "unknown")


async def test_a_message_never_leaves_from_the_account_of_another_owner(
    api: httpx.AsyncClient, shard: AnsweringShard
) -> None:
    await api.post(SESSIONS, json={"workspace_id": "3", "user_id": "1-2"})
    await shard.show("session-1-2-3", SessionState.CONNECTED)
    shard.reply = SENT
    body = {"to": "+5511999990000", "message": "x"}
    answer = await api.post(SEND, json=body | {"workspace_id": "2-3", "user_id": "1"})
    assert (answer.status_code, answer.json()["code"]) == (404, "session_not_found")
    assert "session_id" in answer.json()["hint"]
    assert (await api.post(SEND, json=body | {"workspace_id": "3", "user_id": "1-2"})).status_code == 200


async def test_whoever_is_not_let_in_hears_nothing_certain_of_a_key(
    api: httpx.AsyncClient, shard: AnsweringShard, send: Send
) -> None:
    session_id, shard.reply = await connected(api, shard), SENT
    await send(session_id)
    assert await send(session_id, Authorization="Bearer wrong") == (401, "unauthorized", "unknown")
    answer = await api.post(SEND, json={"session_id": session_id}, headers=KEY)
    assert (answer.status_code, answer.json()["outcome"]) == (422, "not_sent")


async def test_files_of_a_stuck_session_are_refused_and_hold_up_nobody(
    api: httpx.AsyncClient, shard: AnsweringShard
) -> None:
    stuck, other = await connected(api, shard, 1), await connected(api, shard, 2)
    shard.reply = None

    async def file(session_id: str) -> httpx.Response:
        form = {"session_id": session_id, "to": "5511999990000"}
        files = {"file": ("a.bin", b"x" * 1000, "application/octet-stream")}
        return await api.post(f"{SEND}/file", data=form, files=files, timeout=60)

    waiting = [asyncio.create_task(file(stuck)) for _ in range(12)]
    try:
        async with asyncio.timeout(20):
            while len(shard.got) < 2:  # as many as one session has places
                await asyncio.sleep(0.01)
        await asyncio.sleep(0.1)
        shard.reply = SENT
        async with asyncio.timeout(20):
            assert (await file(other)).status_code == 200
            text = {"session_id": stuck, "to": "5511999990000", "message": "hi"}
            assert (await api.post(SEND, json=text)).status_code == 200
            refused, _ = await asyncio.wait(waiting, timeout=15)
        answers = [task.result() for task in refused]
        assert {answer.json()["code"] for answer in answers if answer.status_code != 200} == {"send_queue_full"}
        assert all(
            answer.headers["Retry-After"] and answer.json()["outcome"] == "not_sent"
            for answer in answers
            if answer.status_code == 429
        )
        assert any(answer.status_code == 429 for answer in answers)
    finally:
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)


@pytest.mark.parametrize(
    ("content", "kind"),
    [(b"garbage", "multipart/form-data; boundary=x"), (b"garbage", "multipart/form-data")],
    ids=["malformed", "no boundary"],
)
async def test_a_form_that_cannot_be_read_is_called_so(api: httpx.AsyncClient, content: bytes, kind: str) -> None:
    answer = await api.post(f"{SEND}/file", content=content, headers={"Content-Type": kind})
    assert (answer.status_code, answer.json()["code"], answer.json()["outcome"]) == (422, "invalid_input", "not_sent")


async def test_a_limited_token_takes_no_name_of_another_workspace(
    api: httpx.AsyncClient, registry: Registry, shard: AnsweringShard
) -> None:
    headers = {"Authorization": f"Bearer {await token(registry, Scope.MANAGE, workspaces=frozenset({'7'}))}"}
    wanted = {"workspace_id": 7, "user_id": 1, "session_id": "session-12-8"}
    answer = await api.post(SESSIONS, json=wanted, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (403, "workspace_forbidden")
    assert (await api.post(SESSIONS, json={"workspace_id": 8, "user_id": 12})).status_code == 202
    for own in ({"session_id": "session-1-7"}, {"session_id": "sales", "user_id": 2}):
        answer = await api.post(SESSIONS, json={"workspace_id": 7, "user_id": 1} | own, headers=headers)
        assert answer.status_code == 202


async def token(registry: Registry, *scopes: Scope, workspaces: frozenset[str] | None = None) -> str:
    """Make a token and return it."""
    token_id, text = new_token()
    made = ApiToken(
        token_id=token_id, digest=digest_of(text), name="n", scopes=frozenset(scopes), workspaces=workspaces,
        created_at=utc_now(),
    )  # fmt: skip
    await registry.tokens.put(made)
    await registry.tokens.set_synced("bucket")
    return text


async def test_one_key_at_two_coordinators_is_one_message(
    api: httpx.AsyncClient, registry: Registry, redis_url: str, shard: AnsweringShard
) -> None:
    session_id = await connected(api, shard)

    async def reply(_command: Command) -> Reply:
        await asyncio.sleep(0.02)
        return SENT

    shard.reply = reply
    body = {"session_id": session_id, "to": "+5511999990000", "message": "x"}
    second = Registry(settings_for(redis_url))
    async with contextlib.AsyncExitStack() as held:
        held.push_async_callback(second.close)
        other = await held.enter_async_context(serving(second, settings_for(redis_url)))
        for number in range(5):
            key = {"Idempotency-Key": f"raced-{number}"}
            answers = await asyncio.gather(*(at.post(SEND, json=body, headers=key) for at in [api, other] * 4))
            assert {answer.status_code for answer in answers} <= {200, 409}
            assert [answer.json()["replayed"] for answer in answers if answer.status_code == 200].count(False) == 1
            busy = [answer.json() for answer in answers if answer.status_code == 409]
            assert {(one["code"], one["outcome"]) for one in busy} <= {("send_in_progress", "unknown")}
            assert (await other.post(SEND, json=body, headers=key)).json()["replayed"] is True
    ids = [got["message"]["message_id"] for got in shard.got if got["kind"] == "send"]  # type: ignore[index]  # JSON
    assert len(ids) == len(set(ids)) == 5


async def test_a_key_that_a_dead_coordinator_held_is_tried_again_and_nothing_is_certain_until_it_is_sent(
    api: httpx.AsyncClient, registry: Registry, shard: AnsweringShard
) -> None:
    session_id = await connected(api, shard)
    body = {"session_id": session_id, "to": "+5511999990000", "message": "x"}
    asked = fingerprint({"to": "5511999990000@c.us", "reply_to": None, "content": {"text": "x", "upload": None}})
    digest = key_digest("k")
    message_id = message_id_of(session_id, digest, asked)
    await registry.sends.begin(session_id, digest, asked, message_id, hold_ms=1500)
    answer = await api.post(SEND, json=body, headers=KEY)
    assert (answer.status_code, answer.json()["code"]) == (409, "send_in_progress")
    assert await known(api, session_id) == "pending"
    await asyncio.sleep(1.6)
    assert await known(api, session_id) == "unknown"
    await shard.show(session_id, SessionState.SYNCING)
    answer = await api.post(SEND, json=body, headers=KEY)
    assert (answer.status_code, answer.json()["outcome"]) == (409, "unknown")
    await shard.show(session_id, SessionState.CONNECTED)
    shard.reply = SENT
    answer = await api.post(SEND, json=body, headers=KEY)
    assert (answer.status_code, answer.json()["outcome"], answer.json()["replayed"]) == (200, "sent", False)
    assert [got["message"]["message_id"] for got in shard.got if got["kind"] == "send"] == [message_id]  # type: ignore[index]  # JSON
