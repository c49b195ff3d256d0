"""What a shard decides from a record: whether to run it, and why to stop it."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from daemon.core.clock import utc_now
from daemon.sessions.record import SessionRecord
from daemon.sessions.states import Desired, SessionState
from shards.intake import should_run, stop_reason
from shards.runner.ending import Stop, ending_of_failure, ending_of_silence, ending_of_stop, retry_pause_s

RECORD = SessionRecord(
    session_id="s",
    workspace_id="1",
    user_id="2",
    created_at=utc_now(),
    status_at=utc_now(),
    serial=3,
    shard="here",
    token=7,
)
RUNNER: Any = SimpleNamespace(serial=3, written_token=7)


def test_what_is_wanted_runs_whatever_state_a_dead_shard_left() -> None:
    for status in SessionState:
        expected = status not in {SessionState.DISCONNECTED, SessionState.CONFLICT}
        assert should_run(replace(RECORD, status=status)) is expected


@pytest.mark.parametrize("desired", [Desired.STOPPED, Desired.DELETED])
def test_what_is_not_wanted_does_not_run(desired: Desired) -> None:
    assert not should_run(replace(RECORD, desired=desired))


@pytest.mark.parametrize(
    ("record", "why"),
    [
        (RECORD, None),
        (None, None),
        (replace(RECORD, shard="there"), Stop.MOVED),
        (replace(RECORD, shard=None), None),
        (replace(RECORD, desired=Desired.STOPPED), Stop.STOPPED),
        (replace(RECORD, desired=Desired.DELETED), Stop.DELETED),
        (replace(RECORD, serial=4), Stop.RESTART),
        (replace(RECORD, serial=2, token=6), None),
        (replace(RECORD, shard="there", token=6), None),
        (replace(RECORD, desired=Desired.STOPPED, token=6), None),
    ],
)
def test_a_runner_stops_when_its_record_says_so_and_not_because_it_is_gone_or_older_than_the_run(
    record: SessionRecord | None, why: Stop | None
) -> None:
    assert stop_reason(RUNNER, record, here="here") is why
    assert stop_reason(None, record, here="here") is None


def test_every_stop_but_a_delete_takes_a_last_backup_and_none_voids_copies() -> None:
    for stop in Stop:
        ending = ending_of_stop(stop)
        assert ending.backup is (stop is not Stop.DELETED)
        assert not ending.void and not ending.failure


def test_a_failure_is_retried_after_growing_pauses_and_silence_soon() -> None:
    assert ending_of_failure("browser_failed").failure and not ending_of_failure("x").void
    assert ending_of_silence("redis_unavailable").status is SessionState.PENDING
    assert [retry_pause_s(n) for n in (1, 2, 3, 20)] == [1.0, 2.0, 4.0, 60.0]
