"""When a failed delivery is tried again, and what becomes of an event after a try. Pure."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True, kw_only=True)
class RetrySchedule:
    """Pauses that double from `first_s` up to `cap_s`."""

    first_s: float = 1.0
    cap_s: float = 600.0


DEFAULT_SCHEDULE = RetrySchedule()

NOT_FOUND_FOR_S = 3600.0
"""How long an event that is answered with 404 is tried."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What came of one try. `status` is 0 when there was no answer; `failure` is None when the event was taken."""

    status: int
    failure: str | None
    unreachable: bool = False
    """No connection came about: it cannot be the event's fault."""
    retry_after_s: float | None = None


class Verdict(StrEnum):
    """What becomes of an event."""

    TAKEN = "taken"
    DEAD = "dead"
    AGAIN = "again"


def next_delay_s(attempt: int, random: Callable[[], float], schedule: RetrySchedule = DEFAULT_SCHEDULE) -> float:
    """Return the pause after the failure number `attempt` (from 1): between half and all of the step.

    `random` returns a number from 0 to 1; the jitter keeps many sessions from coming back in the same moment.
    """
    step_s = min(schedule.cap_s, schedule.first_s * 2.0 ** min(attempt - 1, 60))
    return step_s * (0.5 + random() / 2)


def pause_s(
    answer: Answer, attempt: int, random: Callable[[], float], schedule: RetrySchedule = DEFAULT_SCHEDULE
) -> float:
    """Return the pause after this answer: what `Retry-After` asks for, but no longer than the schedule's longest."""
    delay_s = next_delay_s(attempt, random, schedule)
    return max(delay_s, min(answer.retry_after_s or 0.0, schedule.cap_s))


def judge(answer: Answer, *, told_ago_s: float, failing_for_s: float, retry_for_s: float) -> Verdict:
    """Decide about an event that was told `told_ago_s` ago and first failed `failing_for_s` ago, after one more try.

    410 says that the receiver will never take it. 404 is tried for an hour from its first failure, as an address may
    be missing during a deployment. Everything else is tried until `retry_for_s` after it was told.
    """
    if answer.failure is None:
        return Verdict.TAKEN
    if answer.status == 410 or told_ago_s >= retry_for_s:
        return Verdict.DEAD
    if answer.status == 404 and failing_for_s >= NOT_FOUND_FOR_S:
        return Verdict.DEAD
    return Verdict.AGAIN


def parsed_retry_after(value: str | None) -> float | None:
    """Return the seconds of a `Retry-After` header; None for none, or a date, which needs the receiver's clock."""
    if value and value.strip().isascii() and value.strip().isdecimal() and len(value.strip()) <= 9:
        return float(value.strip())
    return None
