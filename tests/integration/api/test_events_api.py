"""Server-sent events over a real Redis and real sockets."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from daemon.api import events
from daemon.core.clock import utc_now
from daemon.core.ids import new_id
from daemon.core.tokens import Scope
from daemon.registry import keys
from daemon.registry.registry import Registry
from daemon.sessions.events import Event, EventKind
from tests.integration.api.conftest import AnsweringShard
from tests.integration.api.test_doubt_api import token

EVENTS = "/api/whatsapp/events"
Frame = dict[str, str]


async def _tell(registry: Registry, number: int, *, workspace: str = "7", kind: EventKind = EventKind.MESSAGE) -> str:
    """Tell an event and return its entry id."""
    event = Event(
        event_id=new_id("evt"), kind=kind, session_id=f"session-{workspace}", workspace_id=workspace, user_id="1",
        at=utc_now(), data={"number": number},
    )  # fmt: skip
    return await registry.events.publish(event)


@contextlib.asynccontextmanager
async def _following(
    api: httpx.AsyncClient, *, headers: dict[str, str] | None = None, **params: Any
) -> AsyncIterator[AsyncIterator[Frame]]:
    """Follow the events; by the time that this gives them, the server follows."""
    async with api.stream("GET", EVENTS, params=params, headers=headers or {}) as answer:
        assert answer.status_code == 200, await answer.aread()
        assert answer.headers["content-type"].startswith("text/event-stream")
        yield _frames(answer)


async def _frames(answer: httpx.Response) -> AsyncIterator[Frame]:
    async for frame in _all_frames(answer):
        if "data" in frame:
            yield frame


async def _all_frames(answer: httpx.Response) -> AsyncIterator[Frame]:
    """Yield also those that only tell a place."""
    frame: Frame = {}
    async for line in answer.aiter_lines():
        name, _, value = line.partition(": ")
        if line == "" and frame:
            yield frame
        if line == "":
            frame = {}
        elif name:
            frame[name] = value


@contextlib.asynccontextmanager
async def _places(api: httpx.AsyncClient, **params: Any) -> AsyncIterator[AsyncIterator[Frame]]:
    """Follow the events and give every frame, with a deadline for the whole."""
    async with asyncio.timeout(10), api.stream("GET", EVENTS, params=params) as answer:
        assert answer.status_code == 200, await answer.aread()
        yield _all_frames(answer)


async def _numbers(frames: AsyncIterator[Frame], count: int) -> list[int]:
    async with asyncio.timeout(10):
        return [json.loads((await anext(frames))["data"])["data"]["number"] for _ in range(count)]


async def test_events_come_as_they_are_told_and_a_broken_connection_is_resumed(
    api: httpx.AsyncClient, registry: Registry
) -> None:
    await _tell(registry, 0)
    async with _following(api) as frames:
        await _tell(registry, 1)
        first = await anext(frames)
        assert first["event"] == "message"
        body = json.loads(first["data"])
        assert (body["event"], body["session_id"], body["data"]) == ("message", "session-7", {"number": 1})
    for number in range(2, 260):
        await _tell(registry, number)
    async with _following(api, headers={"Last-Event-ID": first["id"]}) as frames:
        assert await _numbers(frames, 258) == list(range(2, 260))
        await _tell(registry, 260)
        assert await _numbers(frames, 1) == [260]
    async with _following(api, last_event_id="0") as frames:
        assert await _numbers(frames, 2) == [0, 1]


async def test_filters_and_the_workspaces_of_a_token(api: httpx.AsyncClient, registry: Registry) -> None:
    for number, (workspace, kind) in enumerate(
        [("7", EventKind.MESSAGE), ("8", EventKind.MESSAGE), ("7", EventKind.READY), ("8", EventKind.READY)]
    ):
        await _tell(registry, number, workspace=workspace, kind=kind)
    for params, wanted in (
        ({"workspace_id": "8"}, [1, 3]),
        ({"event": ["ready", "qr"]}, [2, 3]),
        ({"session_id": "session-7", "event": "ready"}, [2]),
    ):
        async with _following(api, last_event_id="0", **params) as frames:
            assert await _numbers(frames, len(wanted)) == wanted


async def test_what_is_gone_is_told_first(api: httpx.AsyncClient, registry: Registry) -> None:
    ids = [await _tell(registry, number) for number in range(5)]
    await registry.link.text.xtrim(keys.EVENTS, minid=ids[3], approximate=False)
    for lost in (ids[0], "99999999999999-0"):
        async with _following(api, headers={"Last-Event-ID": lost}) as frames:
            assert (await anext(frames))["event"] == "gap"
    async with _following(api, headers={"Last-Event-ID": ids[3]}) as frames:
        assert await _numbers(frames, 1) == [4]


async def test_a_connection_that_breaks_before_its_first_event_has_a_place_to_go_on_from(
    api: httpx.AsyncClient, registry: Registry
) -> None:
    """Also when the log was empty at first."""
    for number in (0, 2):
        async with _places(api) as frames:
            place = (await anext(frames))["id"]
        for more in (number, number + 1):
            await _tell(registry, more)
        async with _following(api, headers={"Last-Event-ID": place}) as frames:
            assert await _numbers(frames, 2) == [number, number + 1]


async def test_many_events_at_once_are_no_gap_for_one_who_came_when_the_log_was_empty(
    api: httpx.AsyncClient, registry: Registry
) -> None:
    async with _places(api) as frames:
        place = (await anext(frames))["id"]
    ids = [await _tell(registry, number) for number in range(150)]
    async with _following(api, headers={"Last-Event-ID": place}) as frames:
        assert await _numbers(frames, 150) == list(range(150))
    await registry.link.text.xtrim(keys.EVENTS, minid=ids[1], approximate=False)
    async with _following(api, headers={"Last-Event-ID": place}) as frames:
        assert (await anext(frames))["event"] == "gap"


async def test_one_whom_nothing_concerns_is_told_how_far_it_is_and_meets_no_gap(
    api: httpx.AsyncClient, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "_PLACE_EVERY_S", 0.0)
    async with _places(api, event="ready") as frames:
        opening = await anext(frames)
        ids = [await _tell(registry, number) for number in range(5)]
        place = opening["id"]
        while place != ids[-1]:
            told = await anext(frames)
            assert told.keys() == {"id"} and told["id"] > place
            place = told["id"]
    await registry.link.text.xtrim(keys.EVENTS, minid=ids[-1], approximate=False)
    await _tell(registry, 5, kind=EventKind.READY)
    async with _following(api, event="ready", headers={"Last-Event-ID": place}) as frames:
        assert await _numbers(frames, 1) == [5]


async def test_a_gap_comes_with_the_place_behind_it(api: httpx.AsyncClient, registry: Registry) -> None:
    """Whoever has a place has heard of the gap before it, and of a log that was lost only once."""
    newest = await _tell(registry, 0)
    async with _places(api, last_event_id="99999999999999-0") as frames:
        first = await anext(frames)
        assert (first["event"], first["id"]) == ("gap", newest)
    await _tell(registry, 1)
    async with _following(api, headers={"Last-Event-ID": first["id"]}) as frames:
        assert await _numbers(frames, 1) == [1]


async def test_one_token_leaves_places_for_others(api: httpx.AsyncClient, registry: Registry) -> None:
    greedy, other = [{"Authorization": f"Bearer {await token(registry, Scope.READ)}"} for _ in range(2)]
    async with contextlib.AsyncExitStack() as open_:
        await open_.enter_async_context(_following(api, headers=greedy))
        refused = await api.get(EVENTS, headers=greedy)
        assert (refused.status_code, refused.json()["code"]) == (429, "too_many_followers")
        await open_.enter_async_context(_following(api, headers=other))
        await open_.enter_async_context(_following(api))


async def test_a_wrong_id_and_one_follower_too_many_are_refused(api: httpx.AsyncClient) -> None:
    wrong = await api.get(EVENTS, headers={"Last-Event-ID": "yesterday"})
    assert (wrong.status_code, wrong.json()["code"]) == (422, "invalid_input")
    for text in ("99999999999999999999-0", "1-99999999999999999999"):
        large = await api.get(EVENTS, headers={"Last-Event-ID": text})
        assert (large.status_code, large.json()["code"]) == (422, "event_id_unknown")
    async with contextlib.AsyncExitStack() as open_:
        for _ in range(3):
            await open_.enter_async_context(_following(api))
        refused = await api.get(EVENTS)
        assert (refused.status_code, refused.json()["code"]) == (429, "too_many_followers")
        assert "retry-after" in refused.headers

    async def again() -> bool:
        with contextlib.suppress(AssertionError):
            async with _following(api):
                return True
        return False

    async with asyncio.timeout(10):
        while not await again():
            await asyncio.sleep(0.1)


@pytest.mark.usefixtures("shard")
async def test_the_coordinator_ends_while_somebody_follows(api: httpx.AsyncClient, shard: AnsweringShard) -> None:
    """The fixture stops the server at the end, which hangs if a follower keeps it."""
    answer = await api.send(api.build_request("GET", EVENTS), stream=True)
    assert answer.status_code == 200


async def test_codes_are_for_those_who_may_link_a_phone(api: httpx.AsyncClient, registry: Registry) -> None:
    expected_of = {Scope.READ: [3], Scope.SEND: [3], Scope.MANAGE: [1, 2, 3]}
    texts = {scope: await token(registry, scope) for scope in expected_of}
    for scope, expected in expected_of.items():
        headers = {"Authorization": f"Bearer {texts[scope]}"}
        await registry.link.text.delete(keys.EVENTS)
        await _tell(registry, 1, kind=EventKind.QR)
        await _tell(registry, 2, kind=EventKind.PAIRING_CODE)
        await _tell(registry, 3)
        async with _following(api, headers=headers, last_event_id="0") as frames:
            assert await _numbers(frames, len(expected)) == expected


async def test_a_stream_ends_when_its_token_is_revoked(api: httpx.AsyncClient, registry: Registry) -> None:
    text = await token(registry, Scope.READ)
    async with _following(api, headers={"Authorization": f"Bearer {text}"}) as frames:
        await _tell(registry, 1)
        assert await _numbers(frames, 1) == [1]
        (token_id,) = await registry.tokens.known()
        assert (await api.delete(f"/api/whatsapp/tokens/{token_id}")).status_code in {204, 503}  # here is no bucket
        ended = asyncio.create_task(anext(frames, None))
        await asyncio.wait([ended], timeout=10)
        assert ended.done() and ended.result() is None


async def test_known_tokens_do_not_queue_up_while_redis_hangs(api: httpx.AsyncClient, registry: Registry) -> None:
    headers = {"Authorization": f"Bearer {await token(registry, Scope.READ)}"}
    assert (await api.get("/api/whatsapp/shards", headers=headers)).status_code == 200
    await asyncio.sleep(3.2)  # until what is known must be asked for again
    await registry.link.text.execute_command("CLIENT", "PAUSE", "9000", "ALL")
    try:
        async with asyncio.timeout(7):  # one after another they would take 16 s and more
            answers = await asyncio.gather(*(api.get("/no-such", headers=headers, timeout=60) for _ in range(8)))
        assert {answer.status_code for answer in answers} == {403}  # it needs `admin`, and no Redis
    finally:
        await asyncio.sleep(6)
