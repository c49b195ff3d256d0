"""What a rollback means for every copy that there is, or that comes later."""

from dataclasses import replace

import pytest

from daemon.sessions.copies import awaits_rollback, is_set_aside, may_restore
from daemon.sessions.record import Rollback
from shards.restore.plan import is_newest
from shards.unsaved import is_unsaved
from tests.unit.restore.test_plan_sources import RECORD, archive, facts, orders

BACK = replace(RECORD, rollback=Rollback(token=2, generation=5, until_token=4), token=4, paired=True, shard="b")


@pytest.mark.parametrize(
    ("order", "allowed"),
    [
        ((2, 4), True),  # older than the chosen one: to fall back on
        ((2, 5), True),  # the chosen one
        ((2, 6), False),
        ((3, 1), False),
        ((4, 99), False),  # the last backup of the holder that was stopped for it
        ((5, 1), True),  # the first after it
    ],
)
def test_only_what_is_newer_than_the_chosen_one_and_older_than_the_rollback_is_set_aside(
    order: tuple[int, int], allowed: bool
) -> None:
    assert may_restore(BACK, order) is allowed
    assert is_set_aside(BACK, order) is not allowed


def test_the_chosen_archive_comes_before_hot_copy_and_disk_of_before_and_after_what_came_later() -> None:
    everything = [archive(4, 9), archive(2, 6), archive(2, 5), archive(2, 1)]
    assert orders(BACK, (4, 9), *everything, local=(4, 9)) == [("r2", (2, 5)), ("r2", (2, 1))]
    assert orders(BACK, (5, 10), *everything, local=(4, 9))[:2] == [("redis", (5, 10)), ("r2", (2, 5))]


def test_a_hot_copy_or_disk_of_before_proves_nothing_and_the_first_one_after_it_does() -> None:
    before = replace(BACK, hot_copy=facts(4, 9), archive=facts(4, 8), archive_begun=(4, 9))
    assert not is_newest(before, (4, 9))
    assert not is_newest(before, (2, 5))
    after = replace(before, hot_copy=facts(5, 6))
    assert is_newest(after, (5, 6))


def test_it_is_awaited_until_something_newer_is_stored_and_the_next_rollback_may_choose_what_was_set_aside() -> None:
    before = replace(BACK, hot_copy=facts(4, 9), archive=facts(4, 8))
    assert awaits_rollback(before)
    assert not awaits_rollback(replace(before, hot_copy=facts(5, 6)))
    again = replace(before, rollback=Rollback(token=4, generation=8, until_token=6))
    assert [may_restore(again, order) for order in ((4, 8), (5, 6), (6, 1), (7, 1))] == [True, False, False, True]


def test_a_state_that_was_not_stored_before_the_rollback_is_not_stored_as_the_newest_after_it() -> None:
    stored = replace(RECORD, token=4, shard="b", archive=facts(4, 8))
    assert is_unsaved(stored, (4, 9), here="a", archives=True)
    assert not is_unsaved(replace(stored, rollback=BACK.rollback), (4, 9), here="a", archives=True)
