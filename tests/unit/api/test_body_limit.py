"""How many large bodies are taken at a time, and what they may be."""

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi import FastAPI, Request
from starlette.types import Receive, Scope, Send

from daemon.api import limits
from daemon.api.caller import OPERATOR, Caller
from daemon.api.limits import BodyLimit
from daemon.api.problems import SEND_PATH, install_problems
from daemon.core.tokens import Scope as Scopes

SMALL, LARGE = 1000, 100_000


class Taken:
    """An app that takes bodies and answers when it is let."""

    def __init__(self) -> None:
        self.begun = 0
        self.go = asyncio.Event()
        self.app = FastAPI()
        install_problems(self.app)
        self.app.add_middleware(BodyLimit, max_body_bytes=SMALL, max_media_body_bytes=LARGE, large_at_once=2)

        @self.app.post(SEND_PATH)
        async def take(request: Request) -> int:
            size = len(await request.body())
            self.begun += 1
            await self.go.wait()
            return size


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> Taken:
    monkeypatch.setattr(limits, "_PLACE_WAIT_S", 0.05)
    monkeypatch.setattr(limits, "_CHUNK_S", 0.2)
    monkeypatch.setattr(limits, "_BODY_S", 0.5)
    return Taken()


@pytest.fixture
async def client(taken: Taken) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(taken.app), base_url="http://test") as opened:
        yield opened


async def _begun(taken: Taken, count: int) -> None:
    async with asyncio.timeout(5):
        while taken.begun < count:
            await asyncio.sleep(0.001)


async def _in_chunks(size: int) -> AsyncIterator[bytes]:
    for _ in range(size // 500):
        yield b"x" * 500


@pytest.mark.parametrize("has_length", [True, False], ids=["with a length", "without"])
async def test_only_so_many_large_bodies_are_in_memory_and_small_ones_pass(
    taken: Taken, client: httpx.AsyncClient, has_length: bool
) -> None:
    def large() -> bytes | AsyncIterator[bytes]:
        return b"x" * 5000 if has_length else _in_chunks(5000)

    held = [asyncio.create_task(client.post(SEND_PATH, content=large())) for _ in range(2)]
    await _begun(taken, 2)
    refused = await client.post(SEND_PATH, content=large())
    assert (refused.status_code, refused.json()["code"], refused.json()["outcome"]) == (
        429, "send_queue_full", "not_sent",
    )  # fmt: skip
    assert refused.headers["retry-after"]
    assert taken.begun == 2
    small = asyncio.create_task(client.post(SEND_PATH, content=b"x" * 900))
    await _begun(taken, 3)
    taken.go.set()
    assert {answer.status_code for answer in await asyncio.gather(*held, small)} == {200}
    assert (await client.post(SEND_PATH, content=large())).json() == 5000


async def test_a_large_json_body_is_a_file_and_little_else(
    taken: Taken, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "_JSON_MARKS_MAX", 100)
    taken.go.set()
    file = b'{"media": {"data": "' + b"QUJD" * 10_000 + b'"}}'
    assert (await client.post(SEND_PATH, content=file)).status_code == 200
    for many in (b"[" + b"1," * 10_000 + b"1]", b'["' + b'""' * 10_000 + b'"]'):
        answer = await client.post(SEND_PATH, content=many, headers={"Idempotency-Key": "k"})
        assert (answer.status_code, answer.json()["code"], answer.json()["outcome"]) == (
            413, "body_too_large", "not_sent",
        )  # fmt: skip
        form = {"Content-Type": "Multipart/Form-Data; boundary=x"}
        assert (await client.post(SEND_PATH, content=many, headers=form)).status_code == 200
    assert (await client.post(SEND_PATH, content=b"1," * 400)).status_code == 200


@pytest.mark.parametrize("pause_s", [1.0, 0.1], ids=["stops", "trickles"])
async def test_a_large_body_that_does_not_come_gives_its_place_back(
    taken: Taken, client: httpx.AsyncClient, pause_s: float
) -> None:
    taken.go.set()

    async def slow() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield b"x" * 500
            await asyncio.sleep(pause_s)

    answers = await asyncio.gather(*(client.post(SEND_PATH, content=slow()) for _ in range(2)))
    assert {(answer.status_code, answer.json()["code"]) for answer in answers} == {(408, "body_too_slow")}
    assert (await client.post(SEND_PATH, content=b"x" * 5000)).status_code == 200


async def test_one_token_gets_half_of_the_places(taken: Taken) -> None:
    """As in the app, the gate in front says who asks."""

    def of(caller: Caller) -> httpx.AsyncClient:
        async def gate(scope: Scope, receive: Receive, send: Send) -> None:
            scope["state"] = {"caller": caller}
            await taken.app(scope, receive, send)

        return httpx.AsyncClient(transport=httpx.ASGITransport(gate), base_url="http://test")

    limited = Caller(name="limited", scopes=frozenset(Scopes))
    async with of(limited) as mine, of(OPERATOR) as operator:
        held = asyncio.create_task(mine.post(SEND_PATH, content=b"x" * 5000))
        await _begun(taken, 1)
        assert (await mine.post(SEND_PATH, content=b"x" * 5000)).status_code == 429
        other = asyncio.create_task(operator.post(SEND_PATH, content=b"x" * 5000))
        await _begun(taken, 2)
        taken.go.set()
        assert {answer.status_code for answer in await asyncio.gather(held, other)} == {200}
