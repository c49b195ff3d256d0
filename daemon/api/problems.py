"""Every error as problem+json (RFC 9457): one shape, whoever raised it.

Values that a caller sent are never repeated in a problem, because they may be secret.
"""

import math
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any, Literal, cast

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.types import Scope

from daemon.api.errors import (
    BodyTooLargeError,
    BodyTooSlowError,
    InvalidJsonError,
    MethodNotAllowedError,
    UnauthorizedError,
)
from daemon.core.errors import (
    BlazzError,
    InvalidInputError,
    NoShardError,
    NotFoundError,
    SendQueueFullError,
    SessionNotFoundError,
)

PROBLEM_MEDIA_TYPE = "application/problem+json"
SEND_PATH = "/api/whatsapp/send"

_MAX_FIELD_CHARS = 100
_MAX_FIELDS = 20
"""Fields that one problem names."""
_RETRY_AFTER_S = 2
_WRONG_IN_ITSELF = frozenset({400, 405, 413, 415, 422})
"""Answers to what could never have been sent, under any key."""


class FieldError(BaseModel):
    """One field that cannot be accepted."""

    field: str = Field(description="Name in the body, query or path; `body` for the body as a whole.")
    message: str


class Problem(BaseModel):
    """What went wrong, in the form of RFC 9457; `code` is stable and listed in docs/errors.md."""

    type: str = Field(examples=["urn:blazz:error:session_not_connected"])
    title: str = Field(examples=["Session not connected"])
    status: int = Field(examples=[409])
    code: str = Field(examples=["session_not_connected"])
    detail: str = Field(examples=["the session is not connected"])
    hint: str | None = Field(None, description="The next step to take.")
    errors: list[FieldError] | None = Field(None, description="The fields that cannot be accepted.")
    session_id: str | None = None
    message_id: str | None = Field(None, description="Id of the message whose outcome is unknown.")
    state: str | None = Field(None, description="The session's status, where it is the reason.", examples=["qr"])
    cause: str | None = Field(None, description="Code of the error underneath.", examples=["page_timeout"])
    outcome: Literal["not_sent", "not_done", "unknown"] | None = Field(
        None, description="`unknown` means that it may have happened: do not repeat it blindly."
    )


def problem_response(
    error: BlazzError, scope: Scope, *, fields: Sequence[FieldError] = (), headers: dict[str, str] | None = None
) -> JSONResponse:
    """Return the answer for an error on the request of this ASGI scope."""
    named = [FieldError(field=error.ids["field"], message=error.message)] if "field" in error.ids else []
    problem = Problem(
        type=f"urn:blazz:error:{error.code}",
        title=error.code.replace("_", " ").capitalize(),
        status=error.http_status,
        code=error.code,
        detail=error.message,
        hint=error.hint or None,
        errors=[*fields, *named] or None,
        # One that is not there is only what the caller sent.
        session_id=None if isinstance(error, SessionNotFoundError) else error.ids.get("session_id"),
        message_id=error.ids.get("message_id"),
        state=error.ids.get("state"),
        cause=error.ids.get("cause"),
        outcome=cast(Any, _outcome(error, scope["method"], scope["path"], keyed=_has_key(scope))),
    )
    extra = {"Retry-After": str(math.ceil(error.retry_after_s or _RETRY_AFTER_S))} if error.retryable else {}
    return JSONResponse(
        problem.model_dump(exclude_none=True),
        status_code=error.http_status,
        media_type=PROBLEM_MEDIA_TYPE,
        headers={"Cache-Control": "no-store"} | extra | (headers or {}),
    )


def _outcome(error: BlazzError, method: str, path: str, *, keyed: bool) -> str | None:
    """Say whether an action happened; when the error itself does not know, a failure on our side is `unknown`."""
    if method in {"GET", "HEAD", "OPTIONS"}:
        return None
    sending = is_send(path)
    known = error.ids.get("outcome")
    if sending and known is not None:
        return known
    certain = error.http_status < 500 or isinstance(error, NoShardError) or known == "not_sent"
    if sending and keyed and error.http_status not in _WRONG_IN_ITSELF:
        return "unknown"  # refused before anybody looked at the key, under which it may have been sent before
    if certain:
        return "not_sent" if sending else ("not_done" if error.http_status >= 500 else None)
    return "unknown"


def is_form(headers: Headers) -> bool:
    """Whether a body is a form with parts."""
    return headers.get("content-type", "").lower().startswith("multipart/")


def _has_key(scope: Scope) -> bool:
    return any(name == b"idempotency-key" for name, _ in scope["headers"])


def is_send(path: str) -> bool:
    """Whether this is the path of a request that sends a message."""
    return path == SEND_PATH or path.startswith(f"{SEND_PATH}/")


def install_problems(app: FastAPI) -> None:
    """Have every error of the app answered as a problem."""
    app.add_exception_handler(BlazzError, _on_blazz_error)
    app.add_exception_handler(RequestValidationError, _on_invalid_request)
    app.add_exception_handler(HTTPException, _on_http_exception)
    app.add_exception_handler(Exception, _on_bug)


async def _on_blazz_error(request: Request, error: Exception) -> JSONResponse:
    return problem_response(cast(BlazzError, error), request.scope)


async def _on_invalid_request(request: Request, error: Exception) -> JSONResponse:
    found = cast(RequestValidationError, error).errors()
    if any(item["type"] == "json_invalid" for item in found):
        return problem_response(_not_json(), request.scope, fields=[_BODY_NOT_JSON])
    named = found[:_MAX_FIELDS]
    fields = [FieldError(field=_field_name(item["loc"]), message=_field_message(item)) for item in named]
    hint = ""
    if any(item["loc"] == ("body",) and item["type"] != "value_error" for item in named):
        hint = "send a JSON object, with the header Content-Type: application/json"
    names = ", ".join(dict.fromkeys(field.field for field in fields))
    return problem_response(InvalidInputError(f"not accepted: {names}", hint=hint), request.scope, fields=fields)


_BODY_NOT_JSON = FieldError(field="body", message="is not JSON")


def _not_json() -> InvalidJsonError:
    return InvalidJsonError("the request body is not JSON", hint="send one JSON object in UTF-8")


def _field_name(place: Sequence[int | str]) -> str:
    """Return `metadata.colour` for ("body", "metadata", "colour"): where it is, without the part of the request."""
    parts = [str(part) for part in (place[1:] if len(place) > 1 else place)]
    return ".".join(parts)[:_MAX_FIELD_CHARS]


def _field_message(item: dict[str, Any]) -> str:
    return str(item["msg"]).removeprefix("Value error, ")


async def _on_http_exception(request: Request, error: Exception) -> JSONResponse:
    raised = cast(HTTPException, error)
    headers = dict(raised.headers) if raised.headers else None
    fields: list[FieldError] = []
    match raised.status_code:
        case 400 if is_form(request.headers):
            known: BlazzError = InvalidInputError("the form cannot be read", hint="send multipart/form-data")
            fields = [FieldError(field="body", message="no form, or one with too many fields, or too long a field")]
        case 400:  # FastAPI's answer to a body that is not even text, nests too deep, or holds a giant number
            known = _not_json()
            fields = [_BODY_NOT_JSON]
        case 401:
            known = UnauthorizedError("a bearer token is needed")
        case 404:
            known = NotFoundError("no such path", hint="/docs lists every path")
        case 405:
            known = MethodNotAllowedError(f"{request.method} is not possible here")
        case 408:
            known = BodyTooSlowError("the request body did not arrive in time", hint="send it again")
        case 413 if raised.detail == HTTPStatus(413).phrase:
            known = too_large(None)
        case 413:
            known = BodyTooLargeError(raised.detail, hint="send the file as multipart/form-data")
        case 429:
            known = SendQueueFullError("as many large bodies are being taken as may")
        case status:
            known = BlazzError(HTTPStatus(status).phrase)
    return problem_response(known, request.scope, fields=fields, headers=headers)


def too_large(limit_bytes: int | None) -> BodyTooLargeError:
    """Return the error for a body over the limit."""
    limit = f" than {limit_bytes} bytes" if limit_bytes else ""
    return BodyTooLargeError(f"the request body is larger{limit}", hint="MAX_BODY_BYTES sets the limit")


async def _on_bug(request: Request, _error: Exception) -> JSONResponse:
    # The server logs the traceback; the caller learns nothing of the inside.
    return problem_response(BlazzError("an unexpected error", hint="see the coordinator's log"), request.scope)
