"""`bench.load` against a small server in a daemon's place: what it may do to it, and what it says."""

import asyncio
import json
import os
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from click.testing import CliRunner

from bench import form
from bench.load import main

ROOT = Path(__file__).parents[2]
TOKEN = "token-of-the-load-test-that-nobody-may-see"
FAST = ("--rate", "200", "--duration", "1")
_LIMIT_S = 60.0


@dataclass
class Server:
    """Answers as the daemon does, unless `answer` does it first."""

    url: str = ""
    sessions: set[str] = field(default_factory=set)
    asked: Counter[str] = field(default_factory=Counter)
    tokens: set[str] = field(default_factory=set)
    sent: list[dict[str, Any]] = field(default_factory=list)
    answer: Callable[[web.Request], web.StreamResponse | None] = lambda request: None

    async def serve(self, request: web.Request) -> web.StreamResponse:
        kind = f"{request.method} {request.path.rpartition('/')[2] if request.method != 'DELETE' else ''}".strip()
        self.asked[kind] += 1
        self.tokens.add(request.headers.get("Authorization", ""))
        if (answer := self.answer(request)) is not None:
            return answer
        if kind == "DELETE":
            session_id = request.path.rpartition("/")[2]
            if session_id not in self.sessions:
                return problem("session_not_found", 404)
            self.sessions.remove(session_id)
            return web.Response(status=204)
        if kind == "POST sessions":
            body = await request.json()
            new = body["session_id"] not in self.sessions
            self.sessions.add(body["session_id"])
            return web.json_response({"session_id": body["session_id"], "created": new}, status=202)
        if kind == "POST send":
            self.sent.append(await request.json() | {"key": request.headers["Idempotency-Key"]})
            return web.json_response({"outcome": "sent"})
        return web.json_response({"sessions": []})


@asynccontextmanager
async def serving(server: Server) -> AsyncIterator[Server]:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", server.serve)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    server.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield server
    finally:
        await runner.cleanup()


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    async with serving(Server()) as made:
        yield made


@pytest.fixture
async def other() -> AsyncIterator[Server]:
    """A host that was not named."""
    async with serving(Server()) as made:
        yield made


def problem(code: str, status: int = 503) -> web.Response:
    body = {"type": f"urn:blazz:error:{code}", "status": status, "code": code, "detail": "no"}
    return web.json_response(body, status=status, content_type="application/problem+json")


@dataclass
class Ended:
    code: int
    output: str
    found: dict[str, Any]


class Load:
    """`python -m bench.load` in a process of its own."""

    def __init__(self, to: Path) -> None:
        self._json = to / "found.json"
        self.child: asyncio.subprocess.Process | None = None

    async def run(self, server: Server, *arguments: str, **environment: str) -> Ended:
        await self.start(server, *arguments, **environment)
        return await self.end()

    async def start(self, server: Server, *arguments: str, **environment: str) -> None:
        self.child = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "bench.load", "--url", server.url, "--json", str(self._json), *arguments,
            cwd=ROOT, env={**os.environ, "BLAZZ_TOKEN": TOKEN, **environment},
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
            preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
        )  # fmt: skip

    async def end(self) -> Ended:
        assert self.child is not None
        async with asyncio.timeout(_LIMIT_S):
            output, _ = await self.child.communicate()
        found = json.loads(self._json.read_text()) if self._json.exists() else {}
        assert TOKEN not in output.decode()
        assert TOKEN not in json.dumps(found)
        assert self.child.returncode is not None
        return Ended(code=self.child.returncode, output=output.decode(), found=found)


@pytest.fixture
async def load(tmp_path: Path) -> AsyncIterator[Load]:
    made = Load(tmp_path)
    yield made
    if made.child is not None and made.child.returncode is None:
        made.child.kill()
        await made.child.wait()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(_LIMIT_S):
        while not condition():
            await asyncio.sleep(0.01)


async def test_it_asks_at_the_rate_and_deletes_what_it_made(load: Load, server: Server) -> None:
    server.sessions.add("of-somebody")
    ended = await load.run(server, *FAST, "--sessions", "3")
    assert ended.code == 0, ended.output
    assert ended.found["made"] == ended.found["succeeded"] == 200
    assert ended.found["errors"] == []
    made = {kind: found["requests"] for kind, found in ended.found["operations"].items()}
    assert made == {"list": 150, "create": 3, "create again": 47}
    assert server.asked == {"GET sessions": 151, "POST sessions": 50, "DELETE": 3}
    assert server.sessions == {"of-somebody"}
    assert server.tokens == {f"Bearer {TOKEN}"}


async def test_a_token_among_the_arguments_is_not_shown_either(load: Load, server: Server) -> None:
    ended = await load.run(server, *FAST, "--token", TOKEN, BLAZZ_TOKEN="")
    assert ended.code == 0, ended.output
    assert server.tokens == {f"Bearer {TOKEN}"}


async def test_what_is_kept_is_not_deleted(load: Load, server: Server) -> None:
    ended = await load.run(server, *FAST, "--sessions", "2", "--keep")
    assert ended.code == 0, ended.output
    assert len(server.sessions) == 2


async def test_it_sends_from_the_named_sessions_to_the_named_number_only(load: Load, server: Server) -> None:
    ended = await load.run(server, *FAST, "--to", "+5511999990000", "--from", "a", "--from", "b")
    assert ended.code == 0, ended.output
    assert len(server.sent) == 40
    assert {message["to"] for message in server.sent} == {"+5511999990000"}
    assert {message["session_id"] for message in server.sent} == {"a", "b"}
    assert len({message["key"] for message in server.sent}) == 40
    assert "5511999990000" not in json.dumps(ended.found)


async def test_no_redirect_is_followed_to_another_host(load: Load, server: Server, other: Server) -> None:
    def moved(request: web.Request) -> web.Response | None:
        if request.method != "POST":
            return None
        return web.Response(status=307, headers={"Location": f"{other.url}{request.path}"})

    server.answer = moved
    ended = await load.run(server, *FAST)
    assert ended.code == 1
    assert {error["code"] for error in ended.found["errors"]} == {"not_the_coordinator"}
    assert not other.asked


async def test_a_host_that_redirects_everything_is_not_driven(load: Load, server: Server, other: Server) -> None:
    server.answer = lambda request: web.Response(status=302, headers={"Location": other.url})
    ended = await load.run(server, *FAST)
    assert ended.code == 1
    assert "not_the_coordinator" in ended.output
    assert sum(server.asked.values()) == 1
    assert not other.asked


async def test_no_proxy_is_used(load: Load, server: Server, other: Server) -> None:
    ended = await load.run(server, *FAST, HTTP_PROXY=other.url, http_proxy=other.url, ALL_PROXY=other.url)
    assert ended.code == 0, ended.output
    assert not other.asked


async def test_a_wrong_token_is_said_at_the_first_request(load: Load, server: Server) -> None:
    server.answer = lambda request: problem("unauthorized", 401)
    ended = await load.run(server, *FAST)
    assert ended.code == 1
    assert "unauthorized" in ended.output
    assert sum(server.asked.values()) == 1


async def test_it_stops_on_errors_and_deletes_all_the_same(load: Load, server: Server) -> None:
    def failing(request: web.Request) -> web.Response | None:
        broken = request.method != "DELETE" and server.asked.total() > 60
        return problem("redis_unavailable") if broken else None

    server.answer = failing
    ended = await load.run(server, "--rate", "100", "--duration", "30", "--stop-on-errors", "0.2")
    assert ended.code == 1
    assert "stopped: " in ended.output
    assert "more than 20%" in ended.output
    assert ended.found["stopped"] is True
    assert ended.found["made"] < 200
    assert {error["code"] for error in ended.found["errors"]} == {"redis_unavailable"}
    assert not server.sessions


async def test_interrupted_it_deletes_what_it_made(load: Load, server: Server) -> None:
    await load.start(server, "--rate", "50", "--duration", "60")
    await until(lambda: len(server.sessions) >= 2)
    assert load.child is not None
    load.child.send_signal(signal.SIGINT)
    ended = await load.end()
    assert ended.code != 0
    assert not server.sessions


async def test_a_refused_delete_is_tried_again(load: Load, server: Server) -> None:
    refused: set[str] = set()

    def busy(request: web.Request) -> web.Response | None:
        if request.method == "DELETE" and request.path not in refused:
            refused.add(request.path)
            return problem("redis_unavailable")
        return None

    server.answer = busy
    ended = await load.run(server, *FAST, "--sessions", "2")
    assert ended.code == 0, ended.output
    assert not server.sessions
    assert len(refused) == 2


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("--mix", "list=1,send=1"), "--to does not say to whom"),
        (("--to", "+5511999990000"), "--to needs --from"),
        (("--to", "+5511999990000", "--from", "a", "--rate", "10", "--duration", "60"), "120 messages"),
        (("--mix", "list"), "is not list="),
        (("--mix", "drop=1"), "is not list="),
        (("--mix", "list=0"), "nothing to ask for"),
        (("--rate", "1000", "--duration", "3600"), "100,000 requests"),
        (("--token", "two words"), "the token has characters"),
        (("--url", "http://user:secret-word@127.0.0.1:9"), "--url is no address"),
        (("--url", "ftp://127.0.0.1"), "--url is no address"),
    ],
)
def test_what_cannot_be_meant_is_refused(arguments: tuple[str, ...], why: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def no_facts(work: Path) -> dict[str, object]:
        return {}

    monkeypatch.setattr(form, "machine", no_facts)
    ended = CliRunner().invoke(main, ["--url", "http://127.0.0.1:9", "--token", TOKEN, *arguments])
    assert ended.exit_code == 2
    assert why in ended.output
    assert "secret-word" not in ended.output
