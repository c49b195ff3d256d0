"""How routes say in the OpenAPI document which problems they can answer."""

from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI

from daemon.api.errors import (
    BodyTooLargeError,
    BodyTooSlowError,
    ForbiddenError,
    InvalidJsonError,
    RateLimitedError,
    TokenInUrlError,
    UnauthorizedError,
)
from daemon.api.problems import PROBLEM_MEDIA_TYPE, Problem
from daemon.core.errors import BlazzError, InvalidInputError, RedisUnavailableError

Responses = dict[int | str, dict[str, Any]]

_SCHEMA = {"$ref": "#/components/schemas/Problem"}


def problems(*kinds: type[BlazzError]) -> Responses:
    """Return FastAPI's `responses` for these errors and for those that every closed route can answer."""
    by_status: dict[int | str, list[str]] = {}
    every: tuple[type[BlazzError], ...] = (
        UnauthorizedError,
        ForbiddenError,
        TokenInUrlError,
        RateLimitedError,
        RedisUnavailableError,
        BlazzError,
        *kinds,
    )
    for kind in every:
        codes = by_status.setdefault(kind.http_status, [])
        if kind.code not in codes:
            codes.append(kind.code)
    return {status: _described(codes) for status, codes in sorted(by_status.items(), key=str)}


def problems_with_body(*kinds: type[BlazzError]) -> Responses:
    """Return the same for a route that reads a body."""
    return problems(InvalidInputError, InvalidJsonError, BodyTooLargeError, BodyTooSlowError, *kinds)


def _described(codes: list[str]) -> dict[str, Any]:
    return {
        "description": "Problem with code " + " or ".join(f"`{code}`" for code in codes) + ".",
        "content": {PROBLEM_MEDIA_TYPE: {"schema": _SCHEMA}},
    }


class Api(FastAPI):
    """FastAPI whose document also holds the model of problems, to which the routes only refer."""

    def openapi(self) -> dict[str, Any]:
        """Return the OpenAPI document."""
        if not self.openapi_schema:
            schemas = super().openapi().setdefault("components", {}).setdefault("schemas", {})
            model = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
            schemas.update(model.pop("$defs", {}))
            schemas["Problem"] = model
            for unused in ("HTTPValidationError", "ValidationError"):
                schemas.pop(unused, None)
        document: Mapping[str, Any] = self.openapi_schema or {}
        return dict(document)
