"""What the reconcile loop decides from a view."""

from collections.abc import Iterable
from dataclasses import replace

import pytest

from daemon.coordinator.standing import Stand, Stands
from daemon.coordinator.steps import Steps, View, placement_of, plan_steps
from daemon.core.clock import utc_now
from daemon.placement.moves import MoveWhy
from daemon.registry.drains import Drain
from daemon.sessions.states import Desired, SessionState
from daemon.sessions.summary import Summary

SESSION = Summary(
    session_id="s", workspace_id="1", desired=Desired.RUNNING, serial=0, status=SessionState.PENDING, shard=None,
    moving_from=None, runs_on=None, unsaved=None, token=0, void_token=0, marked=None,
)  # fmt: skip
UP = replace(SESSION, status=SessionState.CONNECTED, shard="a", runs_on="a")
OPEN = Stand(name="a", incarnation="1-x", alive=True, open=True, capacity=10)
GONE = Stand(name="a", incarnation="1-x")


def other(name: str, stand: Stand = OPEN) -> Stand:
    return replace(stand, name=name)


def draining(stand: Stand = OPEN, total: int = 1) -> Stand:
    return replace(stand, draining=True, open=False, drain=Drain(since=utc_now(), total=total))


def steps(*sessions: Summary, shards: Iterable[Stand] = (OPEN,), parallel: int = 8, hurried: bool = False) -> Steps:
    stands = {stand.name: stand for stand in shards}
    placed = {
        name: frozenset(s.session_id for s in sessions if s.shard == name)
        for name, stand in stands.items()
        if stand.alive
    }
    view = View(sessions=sessions, stands=Stands(shards=stands, hurried=hurried), placed=placed, parallel=parallel)
    return plan_steps(view)


def test_a_new_session_is_placed() -> None:
    (move,) = steps(SESSION).moves
    assert (move.before, move.to, move.why) == (None, "a", MoveWhy.NEW)


def test_a_session_goes_where_its_newest_state_lies() -> None:
    here = replace(SESSION, unsaved="c")
    (move,) = steps(here, shards=[OPEN, other("b"), other("c")]).moves
    assert move.to == "c"


def test_nothing_is_to_do_when_all_is_as_it_should_be() -> None:
    assert steps(UP).empty


@pytest.mark.parametrize("status", [SessionState.DISCONNECTED, SessionState.CONFLICT])
def test_a_session_that_waits_for_a_start_is_not_moved_from_a_gone_shard(status: SessionState) -> None:
    assert steps(replace(SESSION, status=status, shard="b"), shards=[OPEN, other("b", GONE)]).moves == ()


@pytest.mark.parametrize("status", [SessionState.DISCONNECTED, SessionState.CONFLICT])
def test_a_session_that_waits_for_a_start_leaves_a_draining_shard_for_no_other(status: SessionState) -> None:
    waiting = replace(SESSION, status=status, shard="a")
    planned = steps(waiting, shards=[draining(), other("b")])
    assert [(p.before, p.to) for p in planned.unplace] == [("a", None)]
    unsaved = replace(waiting, unsaved="a")
    assert steps(unsaved, shards=[draining(), other("b")]).unplace == ()


def test_a_stopped_wish_is_marked_wherever_the_session_is() -> None:
    # A shard that was killed and is back does not run it, so nobody else would; the lease protects one that runs.
    up = replace(UP, desired=Desired.STOPPED)
    waiting = replace(SESSION, session_id="w", desired=Desired.STOPPED)
    assert steps(up, waiting).mark_stopped == (up, waiting)


def test_a_placement_that_lost_its_set_member_is_made_again() -> None:
    view = View(sessions=(UP,), stands=Stands(shards={"a": OPEN}), placed={"a": frozenset()})
    (again,) = plan_steps(view).missing
    assert (again.session_id, again.before, again.to) == ("s", "a", "a")
    assert steps(UP).missing == ()


def test_a_set_member_that_no_record_asks_for_is_found() -> None:
    elsewhere = replace(UP, shard="b")
    view = View(sessions=(elsewhere,), stands=Stands(shards={"a": OPEN}), placed={"a": frozenset({"s", "unknown"})})
    assert plan_steps(view).extra == {("a", "s"), ("a", "unknown")}


def test_a_stopped_session_takes_no_room() -> None:
    (left,) = steps(replace(UP, desired=Desired.STOPPED, status=SessionState.STOPPED)).unplace
    assert (left.before, left.to) == ("a", None)


def test_a_deleted_session_is_finished_and_not_placed() -> None:
    deleted = replace(SESSION, desired=Desired.DELETED)
    assert steps(deleted).finish_delete == (deleted,)
    assert steps(deleted).moves == ()


def test_a_shard_that_is_gone_for_good_is_forgotten_once_nothing_is_placed_on_it() -> None:
    gone = replace(GONE, long_gone=True)
    left = replace(UP, shard="b", runs_on="b")
    planned = steps(left, shards=[other("b", gone), other("c", gone)])
    assert planned.forget == ("c",)


def test_a_gone_shard_keeps_its_sessions_in_its_grace_time_and_loses_them_after_it() -> None:
    waited_for = replace(GONE, in_grace=True)
    assert steps(UP, shards=[waited_for, other("b")]).moves == ()
    (move,) = steps(UP, shards=[GONE, other("b")]).moves
    assert (move.before, move.to, move.why) == ("a", "b", MoveWhy.LOST)
    assert placement_of(move).moving_from is None


def test_leases_of_a_dead_process_are_freed_before_its_sessions_are_placed_elsewhere() -> None:
    dead = replace(GONE, dead_holder="a:i:1-x|")
    (freeing,) = steps(UP, shards=[dead, other("b")]).free
    assert (freeing.holder_prefix, freeing.session_ids) == ("a:i:1-x|", ("s",))
    assert steps(UP, shards=[replace(dead, in_grace=True), other("b")]).free == ()


def test_a_lease_that_a_dead_shard_did_not_hand_over_is_freed() -> None:
    under_way = replace(UP, shard="b", moving_from="a")
    back_again = replace(OPEN, dead_holder="a:i:0-w|")
    (freeing,) = steps(under_way, shards=[back_again, other("b")]).free
    assert freeing.session_ids == ("s",)


def test_without_a_living_shard_nothing_moves() -> None:
    planned = steps(UP, SESSION, shards=[GONE])
    assert planned.moves == ()
    assert planned.free == ()


def test_a_drain_hands_over_so_many_at_a_time() -> None:
    sessions = [replace(UP, session_id=f"s{i}") for i in range(5)]
    under_way = replace(UP, session_id="u", shard="b", moving_from="a", runs_on="a")
    planned = steps(*sessions, under_way, shards=[draining(total=6), other("b")], parallel=3)
    assert len(planned.moves) == 2
    assert {placement_of(move).moving_from for move in planned.moves} == {"a"}
    assert planned.drains is not None
    count = planned.drains["a"].count
    assert count is not None
    assert (count.left, count.moving, count.blocked_reason) == (3, 3, None)


@pytest.mark.parametrize("status", [SessionState.STARTING, SessionState.SYNCING, SessionState.STOPPING])
def test_a_drain_waits_for_a_session_to_settle(status: SessionState) -> None:
    planned = steps(replace(UP, status=status), shards=[draining(), other("b")])
    assert planned.moves == ()
    assert planned.drains is not None
    assert planned.drains["a"].count is not None
    assert planned.drains["a"].count.blocked_reason is None


def test_a_drain_does_not_part_a_session_from_its_only_state() -> None:
    planned = steps(replace(UP, unsaved="a"), shards=[draining(), other("b")])
    assert planned.moves == ()
    assert planned.drains is not None
    assert planned.drains["a"].count is not None
    assert planned.drains["a"].count.blocked_reason == "unsaved_state"


def test_a_drain_says_why_it_does_not_go_on() -> None:
    closed = replace(OPEN, name="b", open=False)
    full = replace(OPEN, name="b", capacity=1)
    there = replace(UP, session_id="t", shard="b", runs_on="b")
    for rest, reason in (([], "no_open_shard"), ([closed], "no_open_shard"), ([full], "shards_full")):
        planned = steps(UP, there, shards=[draining(), *rest])
        assert planned.moves == ()
        assert planned.drains is not None
        assert planned.drains["a"].count is not None
        assert planned.drains["a"].count.blocked_reason == reason


def test_nothing_is_handed_to_shards_that_crashed_lately() -> None:
    assert steps(UP, shards=[draining(), other("b")], hurried=True).moves == ()


@pytest.mark.parametrize(
    ("status", "runs_on", "ended"),
    [
        (SessionState.CONNECTED, "a", False),
        (SessionState.STOPPING, "a", False),
        (SessionState.PENDING, "a", False),
        (SessionState.STARTING, "b", False),
        (SessionState.PENDING, "b", False),
        (SessionState.SYNCING, "b", False),
        (SessionState.FAILED, "a", False),
        (SessionState.CONNECTED, "b", True),
        (SessionState.QR, "b", True),
        (SessionState.FAILED, "b", True),
        (SessionState.DISCONNECTED, "a", True),
    ],
)
def test_a_handover_ends_when_the_session_has_settled_at_its_new_place(
    status: SessionState, runs_on: str, ended: bool
) -> None:
    moved = replace(UP, shard="b", moving_from="a", status=status, runs_on=runs_on)
    planned = steps(moved, shards=[draining(), other("b")])
    assert planned.end_handovers == (("s",) if ended else ())
    assert planned.moves == ()
