"""The OpenAPI document names every status that a route can answer, and every code is in docs/errors.md."""

import importlib
import pkgutil
import re
from pathlib import Path
from typing import Any

import httpx

import daemon
import shards
from daemon.core.errors import BlazzError

ROOT = Path(__file__).parents[3]
OPEN = {"/health", "/health/live", "/health/ready"}


async def _document(client: httpx.AsyncClient) -> dict[str, Any]:
    answer = await client.get("/openapi.json")
    return dict(answer.json())


def _operations(document: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    return [(path, method, spec) for path, methods in document["paths"].items() for method, spec in methods.items()]


async def test_every_closed_route_documents_401_and_500_as_problems(stranger: httpx.AsyncClient) -> None:
    document = await _document(stranger)
    for path, method, spec in _operations(document):
        if path in OPEN:
            assert "security" not in spec
            continue
        assert spec["security"] == [{"HTTPBearer": []}], (path, method)
        assert {"401", "500", "503"} <= set(spec["responses"]), (path, method)
        if "requestBody" in spec:
            assert {"413", "422"} <= set(spec["responses"]), (path, method)
        if "{session_id}" in path:
            assert {"404", "422"} <= set(spec["responses"]), (path, method)


async def test_no_validation_error_of_another_shape_is_documented(stranger: httpx.AsyncClient) -> None:
    document = await _document(stranger)
    assert "HTTPValidationError" not in str(document)
    assert {"Problem", "FieldError"} <= set(document["components"]["schemas"])


async def test_every_reference_in_the_document_leads_somewhere(stranger: httpx.AsyncClient) -> None:
    document = await _document(stranger)
    for name in re.findall(r"#/components/schemas/(\w+)", str(document)):
        assert name in document["components"]["schemas"]


def _all_kinds(kind: type[BlazzError]) -> set[type[BlazzError]]:
    return {kind}.union(*(_all_kinds(child) for child in kind.__subclasses__()))


def _import_everything() -> None:
    for room in (daemon, shards):
        for module in pkgutil.walk_packages(room.__path__, f"{room.__name__}."):
            if not module.name.endswith(".__main__"):
                importlib.import_module(module.name)


def test_the_table_of_codes_is_the_error_tree() -> None:
    _import_everything()
    ours = {kind for kind in _all_kinds(BlazzError) if kind.__module__.partition(".")[0] in {"daemon", "shards"}}
    rows = re.findall(r"^\| `(\w+)` \| (\d+) \|", (ROOT / "docs/errors.md").read_text(), re.MULTILINE)
    assert {(code, int(status)) for code, status in rows} == {(kind.code, kind.http_status) for kind in ours}
    assert len(rows) == len(set(rows))
