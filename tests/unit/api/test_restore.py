"""Asking for restore jobs over HTTP."""

from typing import Any

import httpx
import pytest

from daemon.sessions.jobs import AskedSession, JobSource
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
    assert (await api.get(PATH)).json() == {"jobs": [answer.json()]}


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
