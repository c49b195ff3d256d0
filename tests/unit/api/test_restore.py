"""Asking for restore jobs over HTTP."""

from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from daemon.api.cursors import Cursors
from daemon.sessions.jobs import AskedSession, JobSource
from tests.unit.api.conftest import TOKEN
from tests.unit.api.restores_double import RestoresDouble

PATH = "/api/whatsapp/restore"


async def test_a_list_becomes_a_job_that_can_be_followed(api: httpx.AsyncClient, restores: RestoresDouble) -> None:
    sessions = ["session-12-7", {"workspace_id": 7, "user_id": 13}, {"session_id": "s", "workspace_id": "8"}]
    answer = await api.post(PATH, json={"sessions": sessions})
    assert answer.status_code == 202
    assert restores.asked == [
        AskedSession(session_id="session-12-7"),
        AskedSession(session_id="session-13-7", workspace_id="7", user_id="13"),
        AskedSession(session_id="s", workspace_id="8"),
    ]
    followed = await api.get(answer.headers["Location"])
    assert followed.json() == answer.json()
    assert (followed.json()["state"], followed.json()["source"]) == ("waiting", "sessions")
    assert (await api.get(PATH)).json() == {"jobs": [answer.json()], "next_cursor": None}


async def test_the_list_is_paged_and_takes_its_own_cursors_only(api: httpx.AsyncClient) -> None:
    for _ in range(5):
        await api.post(PATH, json={"source": "registry"})
    seen: list[str] = []
    params: dict[str, str | int] = {"limit": 2}
    while True:
        page = (await api.get(PATH, params=params)).json()
        seen += [job["job_id"] for job in page["jobs"]]
        if page["next_cursor"] is None:
            break
        params["cursor"] = page["next_cursor"]
    assert seen == [f"job_{number}" for number in (4, 3, 2, 1, 0)]
    for cursor in ("job_1", Cursors(SecretStr(TOKEN)).seal("sessions", "job_1")):
        answer = await api.get(PATH, params={"cursor": str(cursor)})
        assert (answer.status_code, [error["field"] for error in answer.json()["errors"]]) == (422, ["cursor"])


@pytest.mark.parametrize("source", ["registry", "bucket", "platform"])
async def test_all_that_a_source_knows_can_be_asked_for(
    api: httpx.AsyncClient, restores: RestoresDouble, source: str
) -> None:
    assert (await api.post(PATH, json={"source": source})).status_code == 202
    assert restores.jobs[0].source is JobSource(source)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"sessions": []},
        {"sessions": ["a"], "source": "bucket"},
        {"source": "sessions"},
        {"source": "elsewhere"},
        {"sessions": [{"workspace_id": "7"}]},
        {"sessions": ["../x"]},
        {"sessions": ["a"], "surprise": 1},
    ],
)
async def test_what_cannot_be_meant_is_refused(
    api: httpx.AsyncClient, restores: RestoresDouble, body: dict[str, Any]
) -> None:
    answer = await api.post(PATH, json=body)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_input")
    assert not restores.jobs


async def test_a_job_that_is_not_there(api: httpx.AsyncClient) -> None:
    answer = await api.get(f"{PATH}/job_9")
    assert (answer.status_code, answer.json()["code"]) == (404, "job_not_found")
