"""Pauses between tries grow to a minute and stay there, however long something is away."""

from shards.backup.policy import Outage
from shards.runner.ending import retry_pause_s


def test_the_pause_before_a_failed_session_is_tried_again_stays_a_minute_for_days() -> None:
    assert [retry_pause_s(failures) for failures in (0, 1, 2, 6, 7, 8, 1025, 10**6)] == [1, 1, 2, 32, 60, 60, 60, 60]


def test_the_pause_before_a_failed_backup_is_tried_again_stays_a_minute_for_days() -> None:
    outage = Outage()
    for _ in range(2000):
        outage = outage.longer(0.0)
    assert (outage.failures, outage.retry_mono_s) == (2000, 60.0)
