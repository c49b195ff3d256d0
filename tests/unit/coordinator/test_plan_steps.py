"""What the reconcile loop decides from a view."""

from dataclasses import replace

import pytest

from daemon.coordinator.reconcile import Steps, View, plan_steps
from daemon.core.clock import utc_now
from daemon.placement.ring import ShardLoad
from daemon.sessions.record import SessionRecord
from daemon.sessions.states import Desired, SessionState

NOW = utc_now()
LOADS = {"shard_00": ShardLoad(name="shard_00", sessions=0, capacity=10)}
SESSION = SessionRecord(session_id="s", workspace_id="1", user_id="2", created_at=NOW, status_at=NOW)


def steps(*records: SessionRecord, in_grace: frozenset[str] = frozenset()) -> Steps:
    return plan_steps(View(records=records, shards=(), loads=LOADS, in_grace=in_grace))


def test_a_new_session_is_placed() -> None:
    (move,) = steps(SESSION).moves
    assert (move.before, move.to) == (None, "shard_00")


@pytest.mark.parametrize("status", [SessionState.DISCONNECTED, SessionState.CONFLICT])
def test_a_session_that_waits_for_a_start_is_left_where_it_is(status: SessionState) -> None:
    assert steps(replace(SESSION, status=status, shard="shard_gone")).moves == ()


def test_a_stopped_wish_on_a_living_shard_is_the_shards_business() -> None:
    up = replace(SESSION, desired=Desired.STOPPED, status=SessionState.CONNECTED, shard="shard_00")
    assert steps(up).mark_stopped == ()


def test_a_stopped_wish_is_marked_when_no_shard_can_do_it() -> None:
    orphan = replace(SESSION, desired=Desired.STOPPED, status=SessionState.CONNECTED, shard="shard_gone")
    waiting = replace(SESSION, desired=Desired.STOPPED, status=SessionState.PENDING)
    assert steps(orphan, waiting).mark_stopped == (orphan, waiting)


def test_a_stopped_session_takes_no_room() -> None:
    stopped = replace(SESSION, desired=Desired.STOPPED, status=SessionState.STOPPED, shard="shard_00")
    assert steps(stopped).unplace == (stopped,)


def test_a_deleted_session_is_finished_and_not_placed() -> None:
    deleted = replace(SESSION, desired=Desired.DELETED)
    assert steps(deleted).finish_delete == (deleted,)
    assert steps(deleted).moves == ()
