"""schemathesis over a running coordinator: no undocumented status, no 5xx, and every answer as the document says.

Everything outside answers: Redis, the S3 server, and a shard whose page does all that it is asked. Streams are left
out: server-sent events do not end by themselves, `test_events_api` reads them.
"""

import asyncio
import contextlib
import os
import re
import threading
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from hashlib import md5, sha256
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis.checks import CheckContext
from schemathesis.core import NOT_SET
from schemathesis.core.transport import Response
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_schema_conformance,
    status_code_conformance,
)

from daemon.core.clock import utc_now
from daemon.core.errors import BlazzError
from daemon.core.ids import new_id
from daemon.objectstore.archives import Archives
from daemon.objectstore.catalogue import ArchiveFacts
from daemon.registry.dead_letters import LetterFilter
from daemon.registry.registry import Registry
from daemon.sessions.commands import Command, CommandKind, Outcome, Reply
from daemon.sessions.events import Event, EventKind
from daemon.sessions.sends import SendFacts, SendState, key_digest
from daemon.sessions.states import SessionState
from tests.integration.api.conftest import SHARD, AnsweringShard, settings_for
from tests.servers.child import free_ports
from tests.servers.forked import fork_module
from tests.servers.s3 import S3Server

TOKEN = "token-of-the-schema-tests-0123456789"
ROOT = Path(__file__).parents[3]
MESSAGE = "false_5511999990000@c.us_3A5F0C6D7E8F90A1B2C3"


@dataclass(frozen=True)
class Place:
    """A coordinator, and the names of what there is."""

    url: str
    known: Mapping[str, str]
    """Values of parameters in paths."""


@pytest.fixture(scope="module")
def place(redis_url: str, s3: S3Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A coordinator with two sessions, a shard that answers, an archive, a dead letter, a job, a token, an endpoint."""
    home, port = tmp_path_factory.mktemp("schema"), free_ports(1)
    redis.Redis.from_url(redis_url).flushall()
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT),
        "DATA_ROOT": str(home),
        "REDIS_URL": redis_url,
        "API_TOKEN": TOKEN,
        "COORDINATOR_PORT": str(port),
        "RECOVER_SESSIONS": "off",
        "RATE_LIMIT_PER_MINUTE": "0",
        "AUTH_FAILURES_PER_MINUTE": "0",
        "COMMAND_TIMEOUT_MS": "2000",
        "LARAVEL_WEBHOOK": f"http://127.0.0.1:{free_ports(1)}/nobody",
        "LARAVEL_WEBHOOK_SECRET": "secret-of-the-schema-tests",
        **s3.environment(),
    }
    log = home / "coordinator.log"
    url = f"http://127.0.0.1:{port}"
    with _shard(redis_url) as settle:
        process = fork_module(["daemon"], cwd=home, env=environment, log=log)
        try:
            with httpx.Client(
                base_url=url, headers={"Authorization": f"Bearer {TOKEN}"}, trust_env=False, timeout=30
            ) as client:
                _wait(client, log)
                for user in ("12", "13", "14"):
                    body = {"workspace_id": "7", "user_id": user}
                    client.post("/api/whatsapp/sessions", json=body).raise_for_status()
                known = settle()
                asyncio.run(_store_archive(s3, home))
                job = client.post("/api/whatsapp/restore", json={"sessions": ["session-12-7"]}).json()["job_id"]
                _soon(lambda: client.get("/api/whatsapp/tokens"))  # 503 until the leader has compared them
                token = _soon(lambda: client.post("/api/whatsapp/tokens", json={"name": "n", "scopes": ["read"]}))["id"]
            yield Place(url, known | {"job_id": job, "token_id": token})
            assert "Traceback" not in log.read_text(), log.read_text()
        finally:
            if process.returncode is None:
                process.kill()


def _soon(ask: Callable[[], httpx.Response]) -> dict[str, Any]:
    """Ask until it is answered."""
    deadline = time.monotonic() + 20
    while (answer := ask()).status_code >= 400:
        assert time.monotonic() < deadline, answer.text
        time.sleep(0.1)
    return dict(answer.json())


async def _store_archive(s3: S3Server, folder: Path) -> None:
    """Store the archive that the examples speak of."""
    content = folder / "archive"
    content.write_bytes(b"PK")
    facts = ArchiveFacts(
        session_id="session-12-7", workspace_id="7", user_id="12", token=4, generation=12, backed_up_at=utc_now(),
        sha256=sha256(b"PK").hexdigest(), clean=True, chromium="1",
    )  # fmt: skip
    with ThreadPoolExecutor(max_workers=1) as executor:
        await Archives(s3.config(), executor).store(facts, content, md5=md5(b"PK").hexdigest())


async def _reply(registry: Registry, command: Command) -> Reply:
    """Answer as a shard would whose page does everything."""
    match command.kind:
        case CommandKind.SEND:
            return Reply(
                outcome=Outcome.DONE,
                result={"message_id": f"true_1@c.us_{command.command_id}", "ack": 1, "timestamp": 1},
            )
        case CommandKind.FIND_NUMBER:
            return Reply(outcome=Outcome.DONE, result={"chat_id": f"{command.arguments['phone']}@c.us"})
        case CommandKind.GET_MEDIA:
            upload = await registry.uploads.put(command.session_id, b"file", keep_ms=10_000)
            return Reply(outcome=Outcome.DONE, result={"upload": upload, "mimetype": "image/png", "filename": "a.png"})
        case CommandKind.PAIRING_CODE:
            return Reply(outcome=Outcome.DONE, result={"code": "ABCD1234"})
        case _:
            return Reply(outcome=Outcome.DONE)


@contextlib.contextmanager
def _shard(redis_url: str) -> Iterator[Callable[[], dict[str, str]]]:
    """Run an answering shard in a thread; gives what puts everything in its place and returns the names of it."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    def run(what: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(what, loop).result(20)

    async def begin() -> tuple[AnsweringShard, asyncio.Task[None], asyncio.Task[None]]:
        registry = Registry(settings_for(redis_url))
        shard = AnsweringShard(registry, reply=partial(_reply, registry))
        await shard.beat()
        return shard, asyncio.create_task(shard.run()), asyncio.create_task(_keep(shard))

    shard, *tasks = run(begin())
    try:
        yield lambda: run(_settle(shard))
    finally:

        async def end() -> None:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await shard.registry.close()

        run(end())
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _keep(shard: AnsweringShard) -> None:
    """Keep the shard alive, and its sessions in their states whatever is asked of them."""
    while True:
        await asyncio.sleep(1)
        await shard.beat()
        with contextlib.suppress(BlazzError):
            await _show(shard)


async def _show(shard: AnsweringShard) -> None:
    await shard.show("session-12-7", SessionState.CONNECTED)
    await shard.show("session-13-7", SessionState.QR, qr="2@scan,me")


async def _settle(shard: AnsweringShard) -> dict[str, str]:
    await _show(shard)
    registry, endpoint = shard.registry, "earlier"  # the leader takes nothing for an endpoint that is not configured
    await registry.outbox.join([endpoint])
    for _ in range(3):
        event = Event(
            event_id=new_id("evt"), kind=EventKind.READY, session_id="session-12-7", workspace_id="7", user_id="12",
            at=utc_now(), data={},
        )  # fmt: skip
        await registry.events.publish(event)
    for waiting in await registry.outbox.take(endpoint, 3, 1000):
        await registry.outbox.bury(endpoint, waiting, reason="given up", tries=3)
    page = await registry.dead_letters.page(LetterFilter(), cursor=None, limit=10)
    letters = [letter.letter_id for letter in page.letters]
    begun = await registry.sends.begin("session-12-7", key_digest("known"), "asked", "3EB0", hold_ms=1000)
    assert begun.ticket is not None
    await registry.sends.settle("session-12-7", begun.ticket, SendFacts(state=SendState.SENT, message_id="3EB0", ack=1))
    return {"letter_id": letters[0], "name": SHARD, "key": "known", "message_id": MESSAGE, "phone": "5511999990000"}


def _wait(client: httpx.Client, log: Path) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        with contextlib.suppress(httpx.TransportError):
            if client.get("/health/live").status_code == 200:
                return
        time.sleep(0.05)
    raise AssertionError(log.read_text())


@pytest.fixture(scope="module")
def document(place: Place) -> schemathesis.BaseSchema:
    return schemathesis.openapi.from_url(f"{place.url}/openapi.json").exclude(path="/api/whatsapp/events")


def no_bug(_: CheckContext, answer: Response, __: schemathesis.Case) -> None:
    """5xx is for what is outside: a shard, a store, WhatsApp. Here all of it answers."""
    assert answer.status_code < 500, answer.text


CHECKS = [
    no_bug,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]


def _operations(document: schemathesis.BaseSchema) -> list[schemathesis.schemas.APIOperation]:
    """Return them all; what is deleted cannot be looked at any more, and a drained shard takes nothing."""
    operations = [found.ok() for found in document.get_all_operations()]
    return sorted(operations, key=lambda one: (one.method == "delete", one.path.endswith("/drain")))


def test_every_operation_takes_its_own_example(document: schemathesis.BaseSchema, place: Place) -> None:
    """What the document gives as an example of a request works, and the answer is as it says."""
    wrong = []
    for operation in _operations(document):
        case = operation.Case(
            path_parameters=_known(operation, place), body=_example(operation), media_type=_media_type(operation)
        )
        answer = _call(case, place)
        try:
            case.validate_response(answer, checks=CHECKS)
            assert answer.status_code < 300, answer.text
        except Exception as error:
            wrong.append(f"{operation.label}: {error}")
    assert not wrong, "\n\n".join(wrong)


def _call(case: schemathesis.Case, place: Place) -> Response:
    return case.call(base_url=place.url, headers={"Authorization": f"Bearer {TOKEN}"}, timeout=20)


def _known(operation: schemathesis.schemas.APIOperation, place: Place) -> dict[str, str]:
    """Return path parameters that name what is there."""
    waits = operation.path.endswith(("/qr", "/pairing-code"))
    session = "session-14-7" if operation.method == "delete" else "session-13-7" if waits else "session-12-7"
    known = {**place.known, "session_id": session}
    if operation.path.startswith("/api/whatsapp/webhooks"):
        known["name"] = "laravel"
    return {name: known[name] for name in re.findall(r"{(\w+)}", operation.path)}


def _media_type(operation: schemathesis.schemas.APIOperation) -> str | None:
    return next((body.media_type for body in operation.body), None)


def _example(operation: schemathesis.schemas.APIOperation) -> Any:
    """Return the body that the examples of its fields make."""
    for media_type, body in operation.definition.raw.get("requestBody", {}).get("content", {}).items():
        name = body["schema"]["$ref"].rpartition("/")[2]
        fields = operation.schema.raw_schema["components"]["schemas"][name]["properties"]
        given = {name: field["examples"][0] for name, field in fields.items() if field.get("examples")}
        if media_type == "multipart/form-data":
            given["file"] = b"Hello"
        return {name: value for name, value in given.items() if value is not None}
    return NOT_SET


@pytest.mark.timeout(240)
@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
def test_every_answer_is_as_the_document_says(
    document: schemathesis.BaseSchema, place: Place, mode: GenerationMode
) -> None:
    wrong = []
    for operation in _operations(document):
        taken: list[int] = []
        try:
            _try_out(operation, place, mode, taken)
            if mode is GenerationMode.POSITIVE and operation.label not in _NOTHING_BY_CHANCE:
                assert any(status < 300 for status in taken), f"nothing was taken: {taken}"
        except Unsatisfiable:
            assert mode is GenerationMode.NEGATIVE, operation.label  # nothing could be sent wrongly
        except Exception as error:
            wrong.append(f"{operation.label}: {error}")
    assert not wrong, "\n\n".join(wrong)


_NOTHING_BY_CHANCE = frozenset(
    {
        "POST /api/whatsapp/send/file",
        "POST /api/whatsapp/sessions/{session_id}/rollback",
        "GET /api/whatsapp/webhooks/dead/{letter_id}",
        "DELETE /api/whatsapp/webhooks/dead/{letter_id}",
        "DELETE /api/whatsapp/sessions/{session_id}",
    }
)
"""What needs values that chance does not find, or what is gone by then; each was taken with its own example."""


def _try_out(
    operation: schemathesis.schemas.APIOperation, place: Place, mode: GenerationMode, taken: list[int]
) -> None:
    positive = mode is GenerationMode.POSITIVE
    checks = CHECKS if positive else [*CHECKS, negative_data_rejection]

    @given(case=operation.as_strategy(generation_mode=mode))
    @settings(
        max_examples=8,
        derandomize=True,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate],
    )
    def call(case: schemathesis.Case) -> None:
        if positive:
            # Two of three times what is there.
            if len(taken) % 3 < 2:
                case.path_parameters |= _known(operation, place)
                if isinstance(case.body, dict) and "session_id" in case.body:
                    case.body["session_id"] = "session-12-7"
        # The header is always put back, so its absence is nothing wrong that was sent.
        elif set(case.headers) and all(name.lower() == "authorization" for name in case.headers):
            return
        answer = _call(case, place)
        taken.append(answer.status_code)
        case.validate_response(answer, checks=checks)

    call()
