"""Which archives may go."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from daemon.objectstore.catalogue import ArchiveRef
from daemon.objectstore.retention import plan_retention

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


def ref(token: int, generation: int, age_hours: float) -> ArchiveRef:
    return ArchiveRef(
        session_id="s",
        workspace_id="w",
        token=token,
        generation=generation,
        key=f"{token}-{generation}",
        size_bytes=1,
        stored_at=NOW - timedelta(hours=age_hours),
    )


refs = st.lists(
    st.tuples(st.integers(1, 5), st.integers(1, 50), st.floats(-24, 500)), unique_by=lambda item: item[:2], max_size=30
).map(lambda items: [ref(*item) for item in items])


@given(refs, st.integers(-1, 4), st.integers(0, 5))
def test_the_newest_is_never_removed(found: list[ArchiveRef], keep_newest: int, daily: int) -> None:
    removed = plan_retention(found, NOW, keep_newest=keep_newest, daily=daily)
    newest = sorted(found, key=lambda item: item.order, reverse=True)[: max(1, keep_newest)]
    assert not set(newest) & set(removed)
    # One more only when clocks disagree: as a rule, the newest of today is the newest of all.
    assert len(found) - len(removed) <= max(1, keep_newest) + daily + 1


@given(refs)
def test_a_second_look_removes_nothing_more(found: list[ArchiveRef]) -> None:
    kept = set(found) - set(plan_retention(found, NOW))
    assert plan_retention(kept, NOW) == ()


def test_the_newest_two_and_one_of_each_of_three_days_are_kept() -> None:
    found = [ref(1, generation, age_hours=200 - 2 * generation) for generation in range(1, 101)]
    kept = sorted(set(found) - set(plan_retention(found, NOW)), key=lambda item: item.order, reverse=True)
    assert [item.generation for item in kept[:2]] == [100, 99]
    assert [item.stored_at.date().day for item in kept[2:]] == [22, 21, 20]
    assert all(item.stored_at.hour == 22 for item in kept[2:]), "the last of each day"


def test_newest_is_by_token_not_by_time() -> None:
    stale, real = ref(1, 99, age_hours=0), ref(2, 1, age_hours=1)
    assert plan_retention([stale, real], NOW, keep_newest=1, daily=0) == (stale,)


def test_a_session_that_was_away_for_long_keeps_its_newest_two() -> None:
    found = [ref(1, generation, age_hours=2000) for generation in (1, 2, 3)]
    assert [item.generation for item in plan_retention(found, NOW)] == [1]


def test_old_ones_go_first() -> None:
    removed = plan_retention([ref(1, generation, age_hours=1) for generation in (3, 1, 2)], NOW, keep_newest=1, daily=0)
    assert [item.generation for item in removed] == [1, 2]


@given(refs, st.sets(st.integers(0, 29)), st.integers(1, 3), st.integers(0, 5))
def test_who_sees_only_some_archives_removes_none_that_would_be_kept(
    found: list[ArchiveRef], seen: set[int], keep_newest: int, daily: int
) -> None:
    some = [item for index, item in enumerate(found) if index in seen]
    removed_of_all = set(plan_retention(found, NOW, keep_newest=keep_newest, daily=daily))
    assert set(plan_retention(some, NOW, keep_newest=keep_newest, daily=daily)) <= removed_of_all


@given(refs, st.tuples(st.integers(0, 5), st.integers(0, 50)))
def test_nothing_is_removed_that_is_not_below_what_the_record_knows(
    found: list[ArchiveRef], below: tuple[int, int]
) -> None:
    removed = plan_retention(found, NOW, below=below)
    assert all(item.order < below for item in removed)
    assert set(removed) <= set(plan_retention(found, NOW))


@given(refs)
def test_a_legacy_archive_is_never_removed_and_takes_no_place(found: list[ArchiveRef]) -> None:
    legacy = [replace(item, token=0, generation=0, key=f"legacy-{item.key}", legacy=True) for item in found]
    assert plan_retention([*legacy, *found], NOW) == plan_retention(found, NOW)


def test_two_archives_of_one_day_leave_the_later_one() -> None:
    found = [ref(1, 1, age_hours=30), ref(1, 2, age_hours=20), ref(1, 3, age_hours=1), ref(1, 4, age_hours=0)]
    assert [item.generation for item in plan_retention(found, NOW)] == [1]


def test_a_store_whose_clock_is_a_day_ahead_loses_no_day() -> None:
    found = [ref(1, 100 - hours, age_hours=hours - 24) for hours in range(100)]
    kept = sorted(set(found) - set(plan_retention(found, NOW)), key=lambda item: item.order, reverse=True)
    assert [item.stored_at.date().day for item in kept] == [24, 24, 23, 22, 21]


def test_one_archive_from_the_far_future_does_not_cost_the_other_days() -> None:
    found = [ref(1, 1, age_hours=-10_000), *(ref(1, 100 - hours, age_hours=hours) for hours in range(90))]
    kept = {item.stored_at.date() for item in set(found) - set(plan_retention(found, NOW))}
    assert {NOW.date() - timedelta(days=days) for days in range(3)} <= kept


def test_an_idle_session_keeps_the_last_of_its_latest_days() -> None:
    found = [ref(1, 200 - hours, age_hours=hours) for hours in range(13, 150)]
    kept = sorted(set(found) - set(plan_retention(found, NOW)), key=lambda item: item.order, reverse=True)
    assert [item.stored_at.date().day for item in kept] == [22, 22, 21, 20]
