"""Who may call, how large a body may be, and that every error is a problem."""

from collections.abc import AsyncIterator

import httpx
import pytest

from tests.unit.api.conftest import TOKEN
from tests.unit.api.directory_double import DirectoryDouble

SESSIONS = "/api/whatsapp/sessions"
CLOSED = [
    ("GET", SESSIONS),
    ("POST", SESSIONS),
    ("GET", f"{SESSIONS}/session-12-7/qr"),
    ("POST", "/api/whatsapp/send"),
    ("GET", "/api/whatsapp/shards"),
    ("GET", "/health/redis"),
    ("GET", "/health/r2"),
    ("GET", "/nowhere"),
    ("GET", "/health/"),
    ("GET", "//health"),
]


@pytest.mark.parametrize(("method", "path"), CLOSED)
async def test_without_a_token_nothing_is_said(
    stranger: httpx.AsyncClient, directory: DirectoryDouble, method: str, path: str
) -> None:
    answer = await stranger.request(method, path, content=b"{")
    assert answer.status_code == 401
    assert answer.json()["code"] == "unauthorized"
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert directory.calls == []


@pytest.mark.parametrize(
    "value",
    ["", "Bearer", "Bearer ", f"Basic {TOKEN}", TOKEN, f"Bearer {TOKEN[:-1]}", f"Bearer {TOKEN}x", f"Bearer {TOKEN} x"],
)
async def test_a_wrong_token_is_401_and_not_repeated(stranger: httpx.AsyncClient, value: str) -> None:
    answer = await stranger.get(SESSIONS, headers={"Authorization": value})
    assert answer.status_code == 401
    assert TOKEN[:8] not in answer.text


async def test_two_authorization_headers_are_refused(stranger: httpx.AsyncClient) -> None:
    header = ("Authorization", f"Bearer {TOKEN}")
    assert (await stranger.get(SESSIONS, headers=[header, header])).status_code == 401


async def test_the_token_does_not_work_in_the_url(stranger: httpx.AsyncClient) -> None:
    for name in ("token", "api_token", "Access_Token"):
        answer = await stranger.get(SESSIONS, params={name: TOKEN})
        assert (answer.status_code, answer.json()["code"]) == (422, "token_in_url")
        assert TOKEN not in answer.text


async def test_the_scheme_may_be_written_in_any_case(stranger: httpx.AsyncClient) -> None:
    assert (await stranger.get(SESSIONS, headers={"Authorization": f"bearer {TOKEN}"})).status_code == 200


@pytest.mark.parametrize("path", ["/health", "/health/live", "/health/ready", "/docs", "/openapi.json"])
async def test_open_paths_answer_without_a_token(stranger: httpx.AsyncClient, path: str) -> None:
    assert (await stranger.get(path)).status_code == 200


@pytest.mark.parametrize("path", ["/health", "/health/live", "/health/ready"])
async def test_open_health_reveals_no_names(stranger: httpx.AsyncClient, path: str) -> None:
    text = (await stranger.get(path)).text
    assert not any(name in text for name in ("session-12-7", "shard_00", "host-1", "workspace_7", "bucket"))


async def _chunks(count: int) -> AsyncIterator[bytes]:
    for _ in range(count):
        yield b" " * 1000


async def test_a_body_over_the_limit_is_413_with_and_without_a_length(api: httpx.AsyncClient) -> None:
    declared = await api.post(SESSIONS, content=b" " * 5000, headers={"Content-Type": "application/json"})
    chunked = await api.post(SESSIONS, content=_chunks(5), headers={"Content-Type": "application/json"})
    for answer in (declared, chunked):
        assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")
    assert (await api.post(SESSIONS, content=_chunks(4))).status_code == 422


@pytest.mark.parametrize(
    "body",
    [b"{", b"", b"\xff\xfe", b"[" * 4000, b'{"user_id": ' + b"9" * 4080 + b"}", b"nul", b"'a'", b'{"a":1}{"b":2}'],
)
async def test_what_is_not_json_is_422(api: httpx.AsyncClient, body: bytes) -> None:
    answer = await api.post(SESSIONS, content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 422
    assert answer.json()["code"] in {"invalid_json", "invalid_input"}
    assert answer.json()["errors"]


async def test_json_under_another_content_type_is_422_with_a_hint(api: httpx.AsyncClient) -> None:
    answer = await api.post(SESSIONS, content=b'{"user_id":1,"workspace_id":1}')
    assert answer.status_code == 422
    assert "Content-Type: application/json" in answer.json()["hint"]


async def test_a_value_is_never_repeated(api: httpx.AsyncClient) -> None:
    answer = await api.post(SESSIONS, json={"workspace_id": "my secret!", "user_id": 1, "phone": "my secret!"})
    assert answer.status_code == 422
    assert "my secret!" not in answer.text


async def test_routing_errors_are_problems_too(api: httpx.AsyncClient) -> None:
    missing = await api.get("/api/whatsapp/nothing")
    assert (missing.status_code, missing.json()["code"]) == (404, "not_found")
    method = await api.put(SESSIONS)
    assert (method.status_code, method.json()["code"]) == (405, "method_not_allowed")
    assert set(method.headers["allow"].split(", ")) & {"GET", "POST"}
    assert (await api.get(f"{SESSIONS}/")).status_code in {404, 422}


async def test_a_bug_is_a_500_that_tells_nothing(api: httpx.AsyncClient, directory: DirectoryDouble) -> None:
    directory.fails["list"] = RuntimeError("inside")
    answer = await api.get(SESSIONS)
    assert (answer.status_code, answer.json()["code"]) == (500, "internal_error")
    assert "inside" not in answer.text
