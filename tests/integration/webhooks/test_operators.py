"""What operators see and do: the API on real uvicorn beside a dispatcher, and the `blazz` commands against it."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from aiohttp import web

from daemon.core.clock import utc_now
from daemon.core.sections import WebhookSettings
from daemon.core.settings import Settings
from daemon.registry.events import EventStream
from daemon.registry.outbox import Outbox
from daemon.registry.registry import Registry
from daemon.sessions.events import Event, EventKind
from daemon.webhooks.configured import Configured
from daemon.webhooks.desk import WebhookDesk
from tests.integration.api.conftest import TOKEN, serving, settings_for
from tests.integration.webhooks.conftest import SECRET, Publish, Start
from tests.integration.webhooks.receiver import Delivery, Receiver, accept, until

ROOT = Path(__file__).parents[3]
HOOKS = "/api/whatsapp/webhooks"


@pytest.fixture
async def api(redis_url: str, outbox: Outbox, receiver: Receiver) -> AsyncIterator[httpx.AsyncClient]:
    """The API of a coordinator whose only endpoint is the receiver."""
    values = {"LARAVEL_WEBHOOK": receiver.url, "LARAVEL_WEBHOOK_SECRET": SECRET, "WEBHOOK_TIMEOUT_MS": 10_000}
    settings: Settings = replace(settings_for(redis_url), webhook=WebhookSettings.model_validate(values))
    registry = Registry(settings)
    desk = WebhookDesk(outbox, registry.dead_letters, Configured(settings.webhook), timeout_s=10)
    try:
        async with serving(registry, settings, webhook_desk=desk) as client:
            yield client
    finally:
        await registry.close()


async def refuse(_request: web.Request, delivery: Delivery) -> web.StreamResponse:
    return web.Response(status=410 if delivery.session_id.startswith("bad") else 200)


async def blazz(api: httpx.AsyncClient, *words: str) -> tuple[int | None, str]:
    environment = {
        "PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "API_TOKEN": TOKEN,
        "COORDINATOR_PORT": str(urlsplit(str(api.base_url)).port),
        "R2_ENDPOINT": "http://127.0.0.1:1", "R2_ACCESS_KEY_ID": "none", "R2_SECRET_ACCESS_KEY": "none",
    }  # fmt: skip
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "daemon.cli", "webhooks", *words, cwd="/", env=environment,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    output, _ = await asyncio.wait_for(process.communicate(), 60)
    return process.returncode, output.decode()


async def dead(api: httpx.AsyncClient, count: int) -> None:
    async with asyncio.timeout(30):
        while len((await api.get(f"{HOOKS}/dead")).json()["dead"]) != count:
            await asyncio.sleep(0.01)


async def test_dead_letters_are_seen_filtered_sent_again_and_removed_by_api_and_command(
    api: httpx.AsyncClient, receiver: Receiver, publish: Publish, start: Start
) -> None:
    receiver.behave = refuse
    for n in range(12):
        await publish(f"bad{n % 2}", n)
    async with start():
        await dead(api, 12)
        page = (await api.get(f"{HOOKS}/dead", params={"limit": 5, "session_id": "bad1"})).json()
        assert [one["event"]["data"]["n"] for one in page["dead"]] == [1, 3, 5, 7, 9]
        rest = {"limit": 5, "session_id": "bad1", "cursor": page["next_cursor"]}
        page = (await api.get(f"{HOOKS}/dead", params=rest)).json()
        assert ([one["event"]["data"]["n"] for one in page["dead"]], page["next_cursor"]) == ([11], None)
        last = page["dead"][0]
        assert (last["endpoint"], last["tries"], "HTTP 410" in last["reason"]) == ("laravel", 1, True)
        assert (await api.get(f"{HOOKS}/dead/{last['id']}")).json() == last
        assert (await api.get(f"{HOOKS}/dead", params={"event": "qr"})).json()["dead"] == []

        # Sent again by hand, they keep their ids and the order of their session.
        receiver.behave = accept
        first = (await api.get(f"{HOOKS}/dead", params={"limit": 1, "session_id": "bad0"})).json()["dead"][0]
        answer = await api.post(f"{HOOKS}/dead/redrive", json={"ids": [first["id"], "1-1"]})
        assert answer.json() == {"redriven": 1, "skipped": 1, "next_cursor": None}
        await until(lambda: receiver.numbers("bad0") == [0], "the first one")
        assert receiver.taken[0].body == first["event"]
        code, output = await blazz(api, "redrive", "--session", "bad1")
        assert (code, "6 events are sent again" in output) == (0, True), output
        await until(lambda: receiver.numbers("bad1") == [1, 3, 5, 7, 9, 11], "the session's")

        left = (await api.get(f"{HOOKS}/dead")).json()["dead"]
        assert (await api.delete(f"{HOOKS}/dead/{left[0]['id']}")).status_code == 204
        code, output = await blazz(api, "dead", "--json")
        assert (code, json.loads(output)["dead"]) == (0, left[1:]), output
        code, output = await blazz(api, "redrive", "--all", "--json")
        assert (code, json.loads(output.splitlines()[-1])) == (0, {"redriven": 4, "skipped": 0}), output
        await until(lambda: receiver.numbers("bad0") == [0, 4, 6, 8, 10], "the others")
        assert (await api.get(HOOKS)).json()["endpoints"][0]["dead"] == 0


async def test_dead_letters_of_one_workspace_are_told_apart(
    api: httpx.AsyncClient, receiver: Receiver, publish: Publish, start: Start
) -> None:
    receiver.behave = refuse
    for n in range(4):
        await publish(f"bad{n % 2}", n, workspace_id=str(7 + n % 2))
    async with start():
        await dead(api, 4)
        page = (await api.get(f"{HOOKS}/dead", params={"workspace_id": "8"})).json()
        assert [one["event"]["data"]["n"] for one in page["dead"]] == [1, 3]
        receiver.behave = accept
        answer = await api.post(f"{HOOKS}/dead/redrive", json={"workspace_id": 8})
        assert answer.json() == {"redriven": 2, "skipped": 0, "next_cursor": None}
        await until(lambda: receiver.numbers("bad1") == [1, 3], "the workspace's")
    assert receiver.numbers("bad0") == []


async def test_letters_sent_again_in_any_order_keep_the_order_of_their_session(
    api: httpx.AsyncClient, receiver: Receiver, publish: Publish, start: Start
) -> None:
    receiver.behave = refuse
    for n in range(12):
        await publish("bad", n)
    async with start():
        await dead(api, 12)
    receiver.behave = accept
    ids = [one["id"] for one in (await api.get(f"{HOOKS}/dead")).json()["dead"]]
    answer = await api.post(f"{HOOKS}/dead/redrive", json={"ids": ids[::-1]})
    assert answer.json()["redriven"] == 12
    async with start():
        await until(lambda: len(receiver.taken) == 12, "all again")
    assert receiver.numbers("bad") == list(range(12))


async def test_a_dead_letter_with_half_an_emoji_is_shown_and_sent_again(
    api: httpx.AsyncClient, receiver: Receiver, stream: EventStream, start: Start
) -> None:
    receiver.behave = refuse
    data = {"n": 0, "body": "cut \ud83c", "by": {"\ud83c": ["\ud83c"]}}
    await stream.publish(
        Event(
            event_id="evt_cut",
            kind=EventKind.MESSAGE,
            session_id="bad",
            workspace_id="7",
            user_id="12",
            at=utc_now(),
            data=data,
        )
    )
    async with start():
        await dead(api, 1)
        [letter] = (await api.get(f"{HOOKS}/dead")).json()["dead"]
        assert letter["event"]["data"] == {"n": 0, "body": "cut ?", "by": {"?": ["?"]}}
        assert (await api.get(f"{HOOKS}/dead/{letter['id']}")).json() == letter
        receiver.behave = accept
        await api.post(f"{HOOKS}/dead/redrive", json={"all": True})
        await until(lambda: receiver.numbers("bad") == [0], "sent again")
    assert receiver.taken[0].body == letter["event"]


async def test_the_list_shows_how_an_endpoint_does_and_a_pause_is_ended_by_api_and_command(
    api: httpx.AsyncClient, receiver: Receiver, publish: Publish, start: Start
) -> None:
    [idle] = (await api.get(HOOKS)).json()["endpoints"]
    assert (idle["name"], idle["state"], idle["waiting"]) == ("laravel", "working", 0)
    assert idle["host"] == urlsplit(receiver.url).netloc and receiver.url not in str(idle)
    receiver.behave = refuse
    for n in range(25):
        await publish("bad", n)

    async def state(wanted: str) -> dict[str, object]:
        async with asyncio.timeout(30):
            while (one := (await api.get(HOOKS)).json()["endpoints"][0])["state"] != wanted:
                await asyncio.sleep(0.01)
        return dict(one)

    async with start():
        await state("paused")
        async with asyncio.timeout(30):  # the last letter is written a moment later
            while ((paused := await state("paused"))["dead"], paused["waiting"]) != (20, 5):
                await asyncio.sleep(0.01)
        assert paused["paused_at"] and "410" in str(paused["error"]) and paused["oldest_waiting_at"]
        code, output = await blazz(api, "list")
        assert (code, "paused" in output) == (0, True), output
        receiver.behave = accept
        code, output = await blazz(api, "resume", "laravel")
        assert (code, "gets events again" in output) == (0, True), output
        await until(lambda: receiver.numbers("bad") == list(range(20, 25)), "what waited")
        assert (await state("working"))["paused_at"] is None
        assert (await api.post(f"{HOOKS}/laravel/resume")).json()["state"] == "working"

        async def fail(_request: web.Request, _delivery: Delivery) -> web.StreamResponse:
            return web.Response(status=502)

        receiver.behave = fail
        await publish("s", 0)
        failing = await state("failing")
        assert failing["error"] == "HTTP 502"


async def test_a_test_event_is_signed_and_its_answer_told(api: httpx.AsyncClient, receiver: Receiver) -> None:
    answer = (await api.post(f"{HOOKS}/laravel/test")).json()
    assert (answer["taken"], answer["status"], answer["error"]) == (True, 200, None)
    [got] = receiver.tries
    assert (got.body["event"], got.body["session_id"]) == ("test", None)
    assert got.headers["X-Webhook-Id"] == got.body["id"] and got.headers["X-Webhook-Signature"]

    async def forbid(_request: web.Request, _delivery: Delivery) -> web.StreamResponse:
        return web.Response(status=403)

    receiver.behave = forbid
    code, output = await blazz(api, "test", "laravel")
    assert (code, "HTTP 403" in output) == (1, True), output


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code"),
    [
        ("POST", "/none/test", None, 404, "endpoint_not_found"),
        ("POST", "/none/resume", None, 404, "endpoint_not_found"),
        ("POST", "/UPPER/resume", None, 422, "invalid_input"),
        ("GET", "/dead/1-1", None, 404, "dead_letter_not_found"),
        ("DELETE", "/dead/1-1", None, 404, "dead_letter_not_found"),
        ("GET", "/dead/x", None, 422, "invalid_input"),
        ("GET", "/dead?cursor=x", None, 422, "invalid_input"),
        ("GET", "/dead?cursor=1-1_2", None, 422, "invalid_input"),
        ("GET", "/dead?event=nothing", None, 422, "invalid_input"),
        ("POST", "/dead/redrive", {}, 422, "invalid_input"),
        ("POST", "/dead/redrive", {"all": True, "ids": ["1-1"]}, 422, "invalid_input"),
        ("POST", "/dead/redrive", {"ids": ["x"]}, 422, "invalid_input"),
    ],
)
async def test_what_cannot_be_done_is_a_problem_with_its_code(
    api: httpx.AsyncClient, method: str, path: str, body: dict[str, object] | None, status: int, code: str
) -> None:
    answer = await api.request(method, f"{HOOKS}{path}", json=body)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
