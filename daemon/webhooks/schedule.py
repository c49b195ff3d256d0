"""When a failed delivery is tried again, and when it is given up. Pure."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class RetrySchedule:
    """Pauses that double from `first_s` up to `cap_s`."""

    first_s: float = 1.0
    cap_s: float = 600.0


DEFAULT_SCHEDULE = RetrySchedule()


def next_delay_s(attempt: int, random: Callable[[], float], schedule: RetrySchedule = DEFAULT_SCHEDULE) -> float:
    """Return the pause after the failure number `attempt` (from 1): between half and all of the step.

    `random` returns a number from 0 to 1; the jitter keeps many sessions from coming back in the same moment.
    """
    step_s = min(schedule.cap_s, schedule.first_s * 2.0 ** min(attempt - 1, 60))
    return step_s * (0.5 + random() / 2)


def should_give_up(since_mono_s: float, now_mono_s: float, retry_for_s: float) -> bool:
    """Whether an event that was first taken up at `since_mono_s` has been tried for long enough."""
    return now_mono_s - since_mono_s >= retry_for_s
