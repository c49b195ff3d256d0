"""Cursors: a list is paged to its end by them, and they say nothing to whoever holds one."""

import base64
from collections.abc import AsyncIterator

import httpx
import pytest
from pydantic import SecretStr

from daemon.api.cursors import Cursors
from daemon.core.errors import InvalidInputError
from daemon.core.tokens import Scope
from tests.unit.api.directory_double import DirectoryDouble
from tests.unit.api.tokens_double import TokensDouble

SESSIONS = "/api/whatsapp/sessions"
TOKEN = SecretStr("a-token-of-the-tests-0123456789")


async def _pages(client: httpx.AsyncClient, limit: int = 100) -> AsyncIterator[httpx.Response]:
    params: dict[str, str | int] = {"limit": limit}
    while True:
        page = await client.get(SESSIONS, params=params)
        assert page.status_code == 200, page.text
        yield page
        cursor = page.json()["next_cursor"]
        if cursor is None:
            return
        params["cursor"] = cursor


async def test_pages_of_a_token_of_a_workspace_tell_nothing_of_another(
    stranger: httpx.AsyncClient, tokens: TokensDouble, directory: DirectoryDouble
) -> None:
    for user in range(9):
        directory.add(f"session-{user}-secretco", user_id=str(user), workspace_id="secretco")
    directory.add("session-99-7", user_id="99")
    directory.looked_at = 3
    stranger.headers["Authorization"] = f"Bearer {tokens.give(Scope.READ, workspaces=['7'])}"
    pages = [page async for page in _pages(stranger)]
    assert [one["session_id"] for page in pages for one in page.json()["sessions"]] == ["session-12-7", "session-99-7"]
    assert [len(page.json()["sessions"]) for page in pages] == [1, 0, 0, 1]
    cursors = [page.json()["next_cursor"] for page in pages[:-1]]
    for text in (*cursors, *(base64.urlsafe_b64decode(one + "==").decode("latin-1") for one in cursors)):
        assert "secretco" not in text and "session" not in text
    assert len({len(one) for one in cursors}) == 1  # nor how long the id is


async def test_every_page_size_reaches_the_end(api: httpx.AsyncClient, directory: DirectoryDouble) -> None:
    for user in range(6):
        directory.add(f"session-{user}-7")
    for limit in (1, 2, 3, 7, 100):
        seen = [one["session_id"] async for page in _pages(api, limit) for one in page.json()["sessions"]]
        assert seen == sorted(directory.records)


def test_every_coordinator_and_every_restart_opens_what_another_sealed() -> None:
    for place in ("s", "x" * 100):
        sealed = Cursors(TOKEN).seal("sessions", place)
        assert sealed is not None and len(sealed) <= 200
        assert Cursors(TOKEN).open("sessions", sealed) == place
    assert Cursors(TOKEN).seal("sessions", None) is Cursors(TOKEN).open("sessions", None) is None


_SEALED = Cursors(TOKEN).seal("sessions", "session-12-7") or ""


@pytest.mark.parametrize(
    ("of", "token", "cursor"),
    [
        pytest.param("jobs", TOKEN, _SEALED, id="of another list"),
        pytest.param("sessions", SecretStr("another-token-0123456789"), _SEALED, id="of another installation"),
        pytest.param("sessions", TOKEN, "session-12-7", id="an id"),
        pytest.param("sessions", TOKEN, _SEALED[:-1], id="cut"),
        pytest.param("sessions", TOKEN, "B" + _SEALED[1:] if _SEALED[0] != "B" else "A" + _SEALED[1:], id="changed"),
        *(pytest.param("sessions", TOKEN, text, id=text) for text in ("A", "AAAA", "=", "====", "A=A=", ".", "_.-=")),
        pytest.param("sessions", TOKEN, "A" * 200, id="long"),
    ],
)
def test_what_was_not_sealed_here_for_this_list_is_refused(of: str, token: SecretStr, cursor: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        Cursors(token).open(of, cursor)
    assert caught.value.ids == {"field": "cursor"}


async def test_a_cursor_that_is_none_is_422_and_named(api: httpx.AsyncClient, directory: DirectoryDouble) -> None:
    for cursor in ("session-12-7", "a", "A" * 155, Cursors(SecretStr("another")).seal("sessions", "a")):
        answer = await api.get(SESSIONS, params={"cursor": str(cursor)})
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_input")
        assert [error["field"] for error in answer.json()["errors"]] == ["cursor"]
    assert directory.calls == []
