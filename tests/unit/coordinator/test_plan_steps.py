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
    placed = {"shard_00": frozenset(record.session_id for record in records if record.shard == "shard_00")}
    return plan_steps(View(records=records, shards=(), loads=LOADS, in_grace=in_grace, placed=placed))


def test_a_new_session_is_placed() -> None:
    (move,) = steps(SESSION).moves
    assert (move.before, move.to) == (None, "shard_00")


@pytest.mark.parametrize("status", [SessionState.DISCONNECTED, SessionState.CONFLICT])
def test_a_session_that_waits_for_a_start_is_left_where_it_is(status: SessionState) -> None:
    assert steps(replace(SESSION, status=status, shard="shard_gone")).moves == ()


def test_a_stopped_wish_is_marked_wherever_the_session_is() -> None:
    # A shard that was killed and is back does not run it, so nobody else would; the lease protects one that runs.
    up = replace(SESSION, desired=Desired.STOPPED, status=SessionState.CONNECTED, shard="shard_00")
    waiting = replace(SESSION, desired=Desired.STOPPED, status=SessionState.PENDING)
    assert steps(up, waiting).mark_stopped == (up, waiting)


def test_a_placement_that_lost_its_set_member_is_made_again() -> None:
    lost = replace(SESSION, shard="shard_00")
    view = View(records=(lost,), shards=(), loads=LOADS, in_grace=frozenset(), placed={"shard_00": frozenset()})
    (move,) = plan_steps(view).missing
    assert (move.session_id, move.to) == ("s", "shard_00")
    assert steps(lost).missing == ()


def test_a_set_member_that_no_record_asks_for_is_found() -> None:
    elsewhere = replace(SESSION, shard="shard_01")
    placed = {"shard_00": frozenset({"s", "unknown"})}
    view = View(records=(elsewhere,), shards=(), loads=LOADS, in_grace=frozenset(), placed=placed)
    assert plan_steps(view).extra == {("shard_00", "s"), ("shard_00", "unknown")}


def test_a_stopped_session_takes_no_room() -> None:
    stopped = replace(SESSION, desired=Desired.STOPPED, status=SessionState.STOPPED, shard="shard_00")
    assert steps(stopped).unplace == (stopped,)


def test_a_deleted_session_is_finished_and_not_placed() -> None:
    deleted = replace(SESSION, desired=Desired.DELETED)
    assert steps(deleted).finish_delete == (deleted,)
    assert steps(deleted).moves == ()


def test_a_shard_that_is_gone_for_good_is_forgotten_once_nothing_is_placed_on_it() -> None:
    left = replace(SESSION, shard="shard_08")
    gone = frozenset({"shard_08", "shard_09"})
    view = View(records=(left,), shards=(), loads=LOADS, in_grace=frozenset(), placed={}, long_gone=gone)
    assert plan_steps(view).forget == ("shard_09",)
