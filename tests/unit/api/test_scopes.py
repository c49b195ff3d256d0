"""What each scope may do, written out for every route there is; and what a token that is limited to workspaces sees."""

import inspect
from collections.abc import Sequence
from typing import Any

import httpx
import pytest

from daemon.api.caller import Caller
from daemon.api.errors import ForbiddenError
from daemon.api.ports import SessionDirectory
from daemon.api.scoped import WorkspaceDirectory
from daemon.api.scopes import needed_scope
from daemon.core.tokens import Scope, id_in, new_token
from tests.unit.api.directory_double import DirectoryDouble
from tests.unit.api.tokens_double import TokensDouble

SESSIONS = "/api/whatsapp/sessions"
OPEN = {"/health", "/health/live", "/health/ready"}
READ, SEND, MANAGE, ADMIN = Scope.READ, Scope.SEND, Scope.MANAGE, Scope.ADMIN
NEEDED = {
    ("get", SESSIONS): READ,
    ("post", SESSIONS): MANAGE,
    ("get", f"{SESSIONS}/{{session_id}}"): READ,
    ("delete", f"{SESSIONS}/{{session_id}}"): MANAGE,
    ("post", f"{SESSIONS}/{{session_id}}/start"): MANAGE,
    ("post", f"{SESSIONS}/{{session_id}}/stop"): MANAGE,
    ("post", f"{SESSIONS}/{{session_id}}/restart"): MANAGE,
    ("post", f"{SESSIONS}/{{session_id}}/logout"): MANAGE,
    ("post", f"{SESSIONS}/{{session_id}}/backup"): MANAGE,
    ("post", f"{SESSIONS}/{{session_id}}/pairing-code"): MANAGE,
    ("get", f"{SESSIONS}/{{session_id}}/archives"): READ,
    ("post", f"{SESSIONS}/{{session_id}}/rollback"): MANAGE,
    ("post", f"{SESSIONS}/{{session_id}}/restore"): MANAGE,
    ("get", f"{SESSIONS}/{{session_id}}/qr"): MANAGE,
    ("get", f"{SESSIONS}/{{session_id}}/sends/{{key}}"): READ,
    ("get", f"{SESSIONS}/{{session_id}}/contacts/{{phone}}"): READ,
    ("get", f"{SESSIONS}/{{session_id}}/messages/{{message_id}}/media"): READ,
    ("post", "/api/whatsapp/send"): SEND,
    ("post", "/api/whatsapp/send/file"): SEND,
    ("get", "/api/whatsapp/restore"): READ,
    ("post", "/api/whatsapp/restore"): MANAGE,
    ("get", "/api/whatsapp/restore/{job_id}"): READ,
    ("get", "/api/whatsapp/shards"): READ,
    ("get", "/api/whatsapp/shards/{name}"): READ,
    ("post", "/api/whatsapp/shards/{name}/drain"): ADMIN,
    ("post", "/api/whatsapp/shards/{name}/undrain"): ADMIN,
    ("get", "/api/whatsapp/tokens"): ADMIN,
    ("post", "/api/whatsapp/tokens"): ADMIN,
    ("delete", "/api/whatsapp/tokens/{token_id}"): ADMIN,
    ("get", "/api/whatsapp/events"): READ,
    ("get", "/api/whatsapp/webhooks"): ADMIN,
    ("get", "/api/whatsapp/webhooks/dead"): ADMIN,
    ("post", "/api/whatsapp/webhooks/dead/redrive"): ADMIN,
    ("get", "/api/whatsapp/webhooks/dead/{letter_id}"): ADMIN,
    ("delete", "/api/whatsapp/webhooks/dead/{letter_id}"): ADMIN,
    ("post", "/api/whatsapp/webhooks/{name}/resume"): ADMIN,
    ("post", "/api/whatsapp/webhooks/{name}/test"): ADMIN,
    ("get", "/health/redis"): READ,
    ("get", "/health/r2"): READ,
}
EXAMPLES = {
    "session_id": "session-12-7",
    "key": "k",
    "phone": "5511999990001",
    "message_id": "false_5511999990000@c.us_3A5F0C6D7E8F90A1B2C3",
    "job_id": "job_1",
    "name": "shard_00",
    "token_id": "abcdefghijkm",
    "letter_id": "1769860800000-0",
}


async def _routes(client: httpx.AsyncClient) -> set[tuple[str, str]]:
    paths = (await client.get("/openapi.json")).json()["paths"]
    return {(method, path) for path, methods in paths.items() for method in methods if path not in OPEN}


async def test_every_route_is_in_the_table_and_needs_what_the_table_says(stranger: httpx.AsyncClient) -> None:
    assert await _routes(stranger) == NEEDED.keys()
    for (method, path), scope in NEEDED.items():
        assert needed_scope(method.upper(), path.format(**EXAMPLES)) is scope, (method, path)


@pytest.mark.parametrize("path", ["/", "/api", "/api/whatsapp/later", "/api/whatsapp/sendx", "/nowhere"])
def test_whatever_is_added_later_is_closed(path: str) -> None:
    assert needed_scope("POST", path) is ADMIN


@pytest.mark.parametrize(
    ("scopes", "may"),
    [([READ], {READ}), ([SEND], {READ, SEND}), ([MANAGE], {READ, MANAGE}), ([SEND, MANAGE], {READ, SEND, MANAGE}),
     ([ADMIN], {READ, SEND, MANAGE, ADMIN})],
)  # fmt: skip
async def test_a_token_may_do_what_its_scopes_say_and_is_told_what_it_lacks(
    stranger: httpx.AsyncClient, tokens: TokensDouble, scopes: Sequence[Scope], may: set[Scope]
) -> None:
    headers = {"Authorization": f"Bearer {tokens.give(*scopes)}"}
    for (method, path), needed in NEEDED.items():
        answer = await stranger.request(method, path.format(**EXAMPLES), headers=headers)
        assert (answer.status_code == 403) is (needed not in may), (method, path, answer.text)
        if answer.status_code == 403:
            assert answer.json()["code"] == "forbidden"
            assert f"scope {needed}" in answer.json()["hint"]


async def test_a_token_of_a_workspace_finds_nothing_of_another(
    stranger: httpx.AsyncClient, tokens: TokensDouble, directory: DirectoryDouble
) -> None:
    directory.add("session-9-8", user_id="9", workspace_id="8")
    headers = {"Authorization": f"Bearer {tokens.give(SEND, MANAGE, ADMIN, workspaces=['8'])}"}
    bodies: dict[str, Any] = {
        "/api/whatsapp/send": {"session_id": "session-12-7", "to": "5511999990000", "message": "x"},
        f"{SESSIONS}/{{session_id}}/pairing-code": {"phone": "5511999990000"},
        f"{SESSIONS}/{{session_id}}/rollback": {"generation": 1},
    }
    for method, path in NEEDED:
        if "{session_id}" not in path and path not in bodies:
            continue
        answer = await stranger.request(method, path.format(**EXAMPLES), headers=headers, json=bodies.get(path))
        missing = await stranger.request(
            method,
            path.format(**EXAMPLES | {"session_id": "session-none"}),
            headers=headers,
            json=bodies.get(path)
            and {**bodies[path], **({"session_id": "session-none"} if "to" in bodies[path] else {})},
        )
        assert (answer.status_code, answer.json()["code"]) == (404, "session_not_found"), (method, path, answer.text)
        assert {**answer.json(), "session_id": ""} == {**missing.json(), "session_id": ""}, (method, path)
    file = {"file": ("a.txt", b"x", "text/plain")}
    form = {"session_id": "session-12-7", "to": "5511999990000"}
    answer = await stranger.post("/api/whatsapp/send/file", headers=headers, data=form, files=file)
    assert (answer.status_code, answer.json()["code"]) == (404, "session_not_found")
    listed = (await stranger.get(SESSIONS, headers=headers)).json()["sessions"]
    assert [session["session_id"] for session in listed] == ["session-9-8"]
    assert (await stranger.get(f"{SESSIONS}/session-9-8", headers=headers)).status_code == 200


async def test_a_token_of_a_workspace_makes_sessions_there_only_and_nothing_for_all(
    stranger: httpx.AsyncClient, tokens: TokensDouble
) -> None:
    headers = {"Authorization": f"Bearer {tokens.give(ADMIN, workspaces=['8'])}"}
    body = {"workspace_id": "7", "user_id": "5"}
    answer = await stranger.post(SESSIONS, headers=headers, json=body)
    assert (answer.status_code, answer.json()["code"]) == (403, "workspace_forbidden")
    assert (await stranger.post(SESSIONS, headers=headers, json=body | {"workspace_id": 8})).status_code == 202
    for method, path in NEEDED:
        if any(word in path for word in ("/shards", "whatsapp/restore", "/tokens", "/webhooks")):
            needs = {
                "/api/whatsapp/restore": {"source": "registry"},
                "/api/whatsapp/tokens": {"name": "n", "scopes": ["read"]},
                "/api/whatsapp/webhooks/dead/redrive": {"all": True},
            }
            body = needs.get(path, {})
            answer = await stranger.request(method, path.format(**EXAMPLES), headers=headers, json=body or None)
            assert (answer.status_code, answer.json()["code"]) == (403, "forbidden"), (method, path, answer.text)


def test_every_method_of_the_directory_is_guarded_or_closed() -> None:
    """Whatever takes a session id looks at its workspace; whatever does not is named in the view, or forbidden."""
    view = WorkspaceDirectory(DirectoryDouble(), Caller(name="t", scopes=frozenset(Scope), workspaces=frozenset({"8"})))
    written_out = {name for name, _ in inspect.getmembers(WorkspaceDirectory, inspect.iscoroutinefunction)}
    assert written_out == {"get", "create", "list", "send"}
    for name, method in inspect.getmembers(SessionDirectory, inspect.iscoroutinefunction):
        if name in written_out:
            continue
        first = list(inspect.signature(method).parameters)[1:2]
        if first == ["session_id"]:
            assert getattr(view, name).__qualname__.startswith("WorkspaceDirectory._guarded")
        else:
            with pytest.raises(ForbiddenError):
                getattr(view, name)


async def test_a_token_that_nobody_can_look_up_is_503_and_not_401(
    stranger: httpx.AsyncClient, tokens: TokensDouble
) -> None:
    headers = {"Authorization": f"Bearer {tokens.give(READ)}"}
    tokens.redis_is_away = True
    answer = await stranger.get(SESSIONS, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (503, "redis_unavailable")


class TestLimits:
    """How often one may ask."""

    @pytest.fixture
    def limits(self) -> dict[str, int]:
        return {"RATE_LIMIT_PER_MINUTE": 5, "AUTH_FAILURES_PER_MINUTE": 3}

    async def test_each_token_has_its_own_window(self, api: httpx.AsyncClient, tokens: TokensDouble) -> None:
        other = {"Authorization": f"Bearer {tokens.give(READ)}"}
        answers = [await api.get(SESSIONS) for _ in range(6)]
        assert [answer.status_code for answer in answers] == [200] * 5 + [429]
        assert answers[-1].json()["code"] == "rate_limited"
        assert 1 <= int(answers[-1].headers["Retry-After"]) <= 60
        assert (await api.get(SESSIONS, headers=other)).status_code == 200
        assert (await api.get("/health/live")).status_code == 200

    async def test_guessing_is_slowed_down_and_keeps_nobody_else_out(
        self, stranger: httpx.AsyncClient, tokens: TokensDouble
    ) -> None:
        wrong = {"Authorization": "Bearer wrong"}
        assert [(await stranger.get(SESSIONS, headers=wrong)).status_code for _ in range(4)] == [401] * 3 + [429]
        good = {"Authorization": f"Bearer {tokens.give(READ)}"}
        assert (await stranger.get(SESSIONS, headers=good)).status_code == 200


def test_a_token_carries_its_id_and_256_random_bits() -> None:
    token_id, text = new_token()
    assert id_in(text) == token_id
    assert len(text.rpartition(f"{token_id}_")[2]) == 43
    for other in (text[:-1], text + "x", text.replace("blz", "abc"), "", "blz__"):
        assert id_in(other) is None
