"""The retry schedule."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.webhooks.schedule import (
    Answer,
    RetrySchedule,
    Verdict,
    judge,
    next_delay_s,
    parsed_retry_after,
    pause_s,
)


def test_pauses_double_up_to_the_cap() -> None:
    pauses = [next_delay_s(attempt, lambda: 1.0) for attempt in range(1, 13)]
    assert pauses == [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 600, 600]


@given(st.integers(min_value=1, max_value=10**9), st.floats(min_value=0, max_value=1))
def test_jitter_stays_between_half_and_all_of_the_step(attempt: int, drawn: float) -> None:
    schedule = RetrySchedule(first_s=0.5, cap_s=60)
    step_s = min(60, 0.5 * 2.0 ** min(attempt - 1, 60))
    assert step_s / 2 <= next_delay_s(attempt, lambda: drawn, schedule) <= step_s


DAY_S = 86_400.0


def judged(status: int, *, told_ago_s: float = 0.0, failing_for_s: float = 0.0) -> Verdict:
    failure = None if 200 <= status < 300 else f"HTTP {status}"
    answer = Answer(status=status, failure=failure)
    return judge(answer, told_ago_s=told_ago_s, failing_for_s=failing_for_s, retry_for_s=DAY_S)


def test_it_gives_up_after_the_set_time_and_not_before() -> None:
    assert judged(500, told_ago_s=DAY_S - 1, failing_for_s=DAY_S - 1) is Verdict.AGAIN
    assert judged(500, told_ago_s=DAY_S) is Verdict.DEAD
    assert judged(200, told_ago_s=2 * DAY_S) is Verdict.TAKEN


def test_gone_is_final_and_not_found_is_for_an_hour() -> None:
    assert judged(410) is Verdict.DEAD
    assert judged(404, told_ago_s=7200, failing_for_s=3599) is Verdict.AGAIN
    assert judged(404, failing_for_s=3600) is Verdict.DEAD
    assert {judged(status, failing_for_s=7200) for status in (0, 301, 400, 401, 403, 429, 503)} == {Verdict.AGAIN}


def test_retry_after_counts_up_to_the_cap() -> None:
    for asked_s, least_s in ((None, 1.0), (0.1, 1.0), (90.0, 90.0), (10**6, 600.0)):
        answer = Answer(status=429, failure="HTTP 429", retry_after_s=asked_s)
        assert pause_s(answer, 1, lambda: 1.0) == least_s


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("120", 120.0), (" 7 ", 7.0), (None, None), ("", None), ("-1", None), ("1.5", None), ("９", None),
     ("9" * 10, None), ("Wed, 21 Oct 2015 07:28:00 GMT", None)],
)  # fmt: skip
def test_retry_after_is_seconds_or_nothing(value: str | None, seconds: float | None) -> None:
    assert parsed_retry_after(value) == seconds
