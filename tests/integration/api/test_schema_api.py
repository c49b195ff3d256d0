"""schemathesis over a running coordinator: no undocumented status, no 500, and every answer as the document says.

Streams are left out: server-sent events do not end by themselves, `test_events_api` reads them.
"""

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import redis
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis.checks import CheckContext
from schemathesis.core.transport import Response
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_schema_conformance,
    status_code_conformance,
)

from tests.servers.child import free_ports
from tests.servers.forked import fork_module
from tests.servers.s3 import S3Server

TOKEN = "token-of-the-schema-tests-0123456789"
ROOT = Path(__file__).parents[3]
SESSIONS = ("session-12-7", "session-13-7", "session-none")


@pytest.fixture(scope="module")
def address(redis_url: str, s3: S3Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A coordinator process with two sessions and no shard."""
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
        **s3.environment(),
    }
    log = home / "coordinator.log"
    process = fork_module(["daemon"], cwd=home, env=environment, log=log)
    url = f"http://127.0.0.1:{port}"
    try:
        with httpx.Client(base_url=url, headers={"Authorization": f"Bearer {TOKEN}"}, trust_env=False) as client:
            _wait(client, log)
            for user in ("12", "13"):
                client.post("/api/whatsapp/sessions", json={"workspace_id": "7", "user_id": user}).raise_for_status()
        yield url
        assert "Traceback" not in log.read_text(), log.read_text()
    finally:
        if process.returncode is None:
            process.kill()


def _wait(client: httpx.Client, log: Path) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        with contextlib.suppress(httpx.TransportError):
            if client.get("/health/live").status_code == 200:
                return
        time.sleep(0.05)
    raise AssertionError(log.read_text())


@pytest.fixture(scope="module")
def document(address: str) -> schemathesis.BaseSchema:
    return schemathesis.openapi.from_url(f"{address}/openapi.json").exclude(path="/api/whatsapp/events")


def no_bug(_: CheckContext, answer: Response, __: schemathesis.Case) -> None:
    """500 is a bug, but for the health of the object store."""
    if not answer.request.url.endswith("/health/r2"):
        assert answer.status_code != 500, answer.text


CHECKS = [
    no_bug,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    negative_data_rejection,
]


@pytest.mark.timeout(240)
@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
def test_every_answer_is_as_the_document_says(
    document: schemathesis.BaseSchema, address: str, mode: GenerationMode
) -> None:
    wrong = []
    operations = [found.ok() for found in document.get_all_operations()]
    # What is deleted cannot be looked at any more.
    for operation in sorted(operations, key=lambda one: one.method == "delete"):
        try:
            _try_out(operation, address, mode)
        except Unsatisfiable:
            assert mode is GenerationMode.NEGATIVE, operation.label  # nothing could be sent wrongly
        except Exception as error:
            wrong.append(f"{operation.label}: {error}")
    assert not wrong, "\n\n".join(wrong)


def _try_out(operation: schemathesis.schemas.APIOperation, address: str, mode: GenerationMode) -> None:
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
        if mode is GenerationMode.POSITIVE and "session_id" in case.path_parameters:
            case.path_parameters["session_id"] = SESSIONS[len(str(case.path_parameters["session_id"])) % len(SESSIONS)]
        answer = case.call(base_url=address, headers={"Authorization": f"Bearer {TOKEN}"}, timeout=20)
        case.validate_response(answer, checks=CHECKS)

    call()
