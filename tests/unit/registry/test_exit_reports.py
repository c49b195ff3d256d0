"""What a report says of crashes before it, and how long a shard that crashes has to cool."""

from datetime import UTC, datetime, timedelta

import pytest

from daemon.registry.exits import ExitReport

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def crash(second: float, *recent_s: float, expected: bool = False) -> ExitReport:
    at = NOON + timedelta(seconds=second)
    recent = tuple(NOON + timedelta(seconds=before_s) for before_s in recent_s)
    return ExitReport(
        shard="shard_00", holder_prefix="", host="h", pid=1, expected=expected, code_text="", at=at, recent=recent
    )


def seconds(report: ExitReport) -> list[float]:
    return [(at - NOON).total_seconds() for at in report.recent]


def test_crashes_add_up_in_order() -> None:
    assert seconds(crash(30, 30).following(crash(20, 10, 20))) == [10, 20, 30]


def test_the_same_report_again_counts_once_although_it_is_stored_in_milliseconds() -> None:
    assert seconds(crash(30, 30.0004).following(crash(30, 30))) == [30]


def test_crashes_of_more_than_ten_minutes_ago_and_more_than_eight_are_forgotten() -> None:
    assert seconds(crash(700, 700).following(crash(200, 50, 200))) == [200, 700]
    assert seconds(crash(9, 9).following(crash(8, *range(1, 9)))) == [2, 3, 4, 5, 6, 7, 8, 9]


def test_a_shard_that_was_told_to_stop_starts_anew() -> None:
    assert seconds(crash(30, expected=True).following(crash(20, 10, 20))) == []


def test_nothing_cools_without_a_crash() -> None:
    assert crash(30).cools_until() is None


@pytest.mark.parametrize(("crashes", "cooling_s"), [(1, 5), (2, 10), (3, 20), (6, 160), (7, 300), (8, 300)])
def test_each_crash_doubles_the_time_to_cool_up_to_five_minutes(crashes: int, cooling_s: float) -> None:
    report = crash(crashes, *range(1, crashes + 1))
    assert report.cools_until() == report.at + timedelta(seconds=cooling_s)
