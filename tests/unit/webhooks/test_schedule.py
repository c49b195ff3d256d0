"""The retry schedule."""

from hypothesis import given
from hypothesis import strategies as st

from daemon.webhooks.schedule import RetrySchedule, next_delay_s, should_give_up


def test_pauses_double_up_to_the_cap() -> None:
    pauses = [next_delay_s(attempt, lambda: 1.0) for attempt in range(1, 13)]
    assert pauses == [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 600, 600]


@given(st.integers(min_value=1, max_value=10**9), st.floats(min_value=0, max_value=1))
def test_jitter_stays_between_half_and_all_of_the_step(attempt: int, drawn: float) -> None:
    schedule = RetrySchedule(first_s=0.5, cap_s=60)
    step_s = min(60, 0.5 * 2.0 ** min(attempt - 1, 60))
    assert step_s / 2 <= next_delay_s(attempt, lambda: drawn, schedule) <= step_s


def test_it_gives_up_after_the_set_time_and_not_before() -> None:
    assert not should_give_up(100.0, 199.9, 100.0)
    assert should_give_up(100.0, 200.0, 100.0)
