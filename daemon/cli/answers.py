"""What the coordinator's answers mean, and what it means when somebody else gives them or nobody does."""

from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any

import httpx

from daemon.core.clock import utc_now
from daemon.core.errors import BlazzError, UnavailableError
from daemon.core.exit_codes import ExitCode

_PROBLEM = "urn:blazz:error:"
_RETRY_AFTER_MAX_S = 60.0
_PROXY_SAYS_LATER = frozenset({429, 502, 503, 504})
"""What a proxy in front of the coordinator answers in a form of its own while that is away or asked too often."""


class CoordinatorUnavailableError(UnavailableError):
    """The coordinator does not answer; whether it did what was asked is not known, unless it was never `reached`."""

    code = "coordinator_unavailable"

    def __init__(self, message: str, *, reached: bool, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.reached = reached


class NotTheCoordinatorError(UnavailableError):
    """Something else answers at the coordinator's address; whether the coordinator did what was asked is not known."""

    code = "not_the_coordinator"
    retryable = False


class RefusedError(BlazzError):
    """The coordinator answered with a problem, whose code this error has."""

    exit_code = ExitCode.USAGE

    def __init__(self, status: int, problem: dict[str, Any], *, retry_after_s: float | None = None) -> None:
        detail = str(problem.get("detail") or f"answer {status}")
        super().__init__("; ".join([detail, *_reasons(problem, detail)]), hint=str(problem.get("hint") or ""))
        self.status = status
        self.problem = problem
        self.retry_after_s = retry_after_s
        self.tried_nothing = status < 500
        """Whether this request is certain to have changed nothing."""
        self.code = str(problem.get("code") or f"http_{status}")  # type: ignore[misc]  # the class has no code of its own
        if status >= 500:
            self.exit_code = ExitCode.UNAVAILABLE  # type: ignore[misc]  # it depends on the answer
        elif status == 429:
            self.exit_code = ExitCode.TEMPORARY  # type: ignore[misc]


def json_of(answer: httpx.Response) -> dict[str, Any] | None:
    """Return the JSON object that an answer is, None if it is anything else."""
    if not is_kind(answer, "application/json", "application/problem+json"):
        return None
    try:
        told = answer.json()
    except ValueError:
        return None
    return told if isinstance(told, dict) else None


def is_kind(answer: httpx.Response, *kinds: str) -> bool:
    """Whether an answer says that it is of one of these media types."""
    return answer.headers.get("content-type", "").partition(";")[0].strip().lower() in kinds


def _retry_after_s(answer: httpx.Response) -> float | None:
    told = answer.headers.get("retry-after", "")
    return min(float(told), _RETRY_AFTER_MAX_S) if told.isdecimal() else None


def time_of(answer: httpx.Response) -> datetime:
    """Return when the answer was given, by the clock of who gave it."""
    try:
        return parsedate_to_datetime(answer.headers["date"])
    except (KeyError, ValueError):
        return utc_now()


def refusal_of(answer: httpx.Response) -> BlazzError:
    """Return what an answer means that is not the wished one."""
    told, retry_after_s = json_of(answer) if answer.is_error else None, _retry_after_s(answer)
    if told is not None and str(told.get("type")).startswith(_PROBLEM):
        return RefusedError(answer.status_code, told, retry_after_s=retry_after_s)
    if answer.status_code in _PROXY_SAYS_LATER:
        return RefusedError(answer.status_code, {}, retry_after_s=retry_after_s)
    kind = answer.headers.get("content-type", "no type").partition(";")[0]
    return not_the_coordinator(answer.url, f"{answer.status_code} with {kind}")


def not_the_coordinator(url: httpx.URL, answer: str) -> NotTheCoordinatorError:
    """Return the error for an answer that the coordinator does not give."""
    return NotTheCoordinatorError(
        f"this is not the coordinator: at {url.scheme}://{url.netloc.decode()} somebody gave an answer {answer}",
        hint="does BLAZZ_URL lead to another server, or to a proxy that answers itself?",
    )


def _reasons(problem: dict[str, Any], detail: str) -> list[str]:
    """Return why each field is not accepted, where the detail does not say so itself."""
    found = problem.get("errors")
    named = [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []
    return [f"{one.get('field')}: {one.get('message')}" for one in named if one.get("message") != detail]
