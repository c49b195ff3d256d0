"""Most recently active first, and nobody waits for ever."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from shards.admission.order import LONGEST_WAITING_EVERY, Waiting, next_to_start

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def waiting(session_id: str, minutes_ago: int | None, arrival: int = 0, chance: float = 0.5) -> Waiting:
    active_at = None if minutes_ago is None else NOW - timedelta(minutes=minutes_ago)
    return Waiting(session_id=session_id, active_at=active_at, arrival=arrival, chance=chance)


def started(queue: list[Waiting]) -> list[str]:
    """Return in which order a queue starts that nobody joins."""
    queue, ids = list(queue), []
    while queue:
        chosen = next_to_start(queue, admitted=len(ids))
        queue.remove(chosen)
        ids.append(chosen.session_id)
    return ids


def test_most_recently_active_first_and_unknown_last() -> None:
    queue = [waiting("never", None, 0), waiting("old", 60, 1), waiting("new", 1, 2), waiting("middle", 30, 3)]
    assert started(queue)[:3] == ["new", "middle", "old"]


def test_every_fourth_is_the_one_that_has_waited_longest() -> None:
    queue = [waiting("first", None, 0), *(waiting(f"s{i}", i, i) for i in range(1, 9))]
    assert started(queue)[:5] == ["s1", "s2", "s3", "first", "s4"]


def test_of_equals_chance_decides() -> None:
    queue = [waiting("a", 5, 0, chance=0.1), waiting("b", 5, 1, chance=0.9), waiting("c", 5, 2, chance=0.4)]
    assert started(queue) == ["b", "c", "a"]


@given(
    before=st.lists(st.one_of(st.none(), st.integers(0, 1000)), max_size=30),
    joining=st.lists(st.integers(0, 5), min_size=0, max_size=200),
)
def test_whoever_joins_later_a_session_starts_within_its_place_times_four(before, joining) -> None:
    """The session that matters was never active; at each admission any number of more active ones may join."""
    queue = [waiting(f"before{i}", minutes, i) for i, minutes in enumerate(before)]
    ours = waiting("ours", None, len(before))
    queue.append(ours)
    arrival = len(queue)
    for admitted in range(LONGEST_WAITING_EVERY * (len(before) + 1)):
        chosen = next_to_start(queue, admitted=admitted)
        queue.remove(chosen)
        if chosen is ours:
            return
        for _ in range(joining[admitted] if admitted < len(joining) else 3):
            queue.append(waiting(f"new{arrival}", 0, arrival))
            arrival += 1
    raise AssertionError("it starved")
