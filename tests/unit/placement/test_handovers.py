"""Moving what runs: on a budget, drains first, and rebalancing that comes to an end."""

import math
from collections import Counter
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from daemon.placement.plan import MoveWhy, plan_moves
from daemon.placement.ring import LOAD_FACTOR, bounds, fair_shares
from tests.unit.placement.fleet import Fleet, applied, counted, examples, fleets, new_sessions, shards


def too_much_and_missing(fleet: Fleet) -> tuple[int, int]:
    """How many sessions are above the bounds of shards, and how many shards lack to what they should have at least."""
    usable = fleet.usable()
    total = sum(load.sessions for load in usable)
    limits, shares = bounds(usable, total), fair_shares(usable, total)
    floors = {name: min(limits[name], int(share / LOAD_FACTOR)) for name, share in shares.items()}
    too_much = sum(max(0, load.sessions - limits[load.name]) for load in usable)
    return too_much, sum(max(0, floors[load.name] - load.sessions) for load in usable)


@examples
@given(fleets(), st.integers(0, 30))
def test_planned_moves_keep_to_their_budget_and_to_what_may_move(fleet: Fleet, budget: int) -> None:
    moves = plan_moves(fleet.sessions, fleet.loads, draining=fleet.draining, handovers=budget, rebalance=True)
    planned = [move for move in moves if move.why in (MoveWhy.DRAIN, MoveWhy.REBALANCE)]
    assert len(planned) <= budget
    movable = {session.session_id for session in fleet.sessions if session.movable}
    assert {move.session_id for move in planned} <= movable
    takes = {load.name for load in fleet.usable()}
    assert all(move.to in takes and move.to != move.before for move in moves)
    assert all((move.before in fleet.draining) == (move.why is MoveWhy.DRAIN) for move in planned)


@examples
@given(st.integers(2, 8), st.integers(1, 200), st.integers(1, 40))
def test_a_drain_empties_the_shard_in_as_few_rounds_as_its_budget_allows(count: int, total: int, budget: int) -> None:
    sessions = new_sessions(total)
    sessions = tuple(replace(s, movable=True) for s in applied(sessions, plan_moves(sessions, shards(count))))
    on_it = sum(session.shard == "shard_00" for session in sessions)
    rounds = 0
    while moves := plan_moves(
        sessions, counted(shards(count), sessions), draining=frozenset({"shard_00"}), handovers=budget
    ):
        assert {move.why for move in moves} == {MoveWhy.DRAIN}
        sessions = applied(sessions, moves)
        rounds += 1
    assert rounds == math.ceil(on_it / budget)
    assert not any(session.shard == "shard_00" for session in sessions)


def test_a_drain_leaves_what_is_not_settled_until_it_is() -> None:
    sessions = tuple(replace(session, shard="shard_00") for session in new_sessions(3))
    ready = (replace(sessions[0], movable=True), *sessions[1:])
    drain = frozenset({"shard_00"})
    assert plan_moves(sessions, counted(shards(2), sessions), draining=drain, handovers=9) == ()
    (move,) = plan_moves(ready, counted(shards(2), ready), draining=drain, handovers=9)
    assert (move.session_id, move.before, move.to) == (ready[0].session_id, "shard_00", "shard_01")


def test_a_drain_comes_before_rebalancing() -> None:
    drained = tuple(replace(session, shard="shard_00", movable=True) for session in new_sessions(10, seed=1))
    crowded = tuple(replace(session, shard="shard_01", movable=True) for session in new_sessions(40, seed=2))
    sessions = (*crowded, *drained)
    loads = counted(shards(4), sessions)
    moves = plan_moves(sessions, loads, draining=frozenset({"shard_00"}), handovers=12, rebalance=True)
    assert Counter(move.why for move in moves) == {MoveWhy.DRAIN: 10, MoveWhy.REBALANCE: 2}


@examples
@given(fleets(homeless=False), st.integers(1, 30))
def test_rebalancing_comes_to_an_end_and_moves_nothing_twice_nor_more_than_needed(fleet: Fleet, budget: int) -> None:
    fleet = replace(fleet, draining=frozenset())
    needed = max(too_much_and_missing(fleet))
    moved: list[str] = []
    while moves := plan_moves(fleet.sessions, fleet.loads, handovers=budget, rebalance=True):
        assert {move.why for move in moves} == {MoveWhy.REBALANCE}
        moved += [move.session_id for move in moves]
        assert len(moved) <= needed, "every move is needed"
        fleet = fleet.after(moves)
    assert len(moved) == len(set(moved))
    if all(session.movable for session in fleet.sessions):
        too_much, missing = too_much_and_missing(fleet)
        assert missing == 0
        assert too_much == 0 or fleet.room() == 0


@examples
@given(fleets(), st.integers(1, 30))
def test_whatever_is_planned_together_comes_to_an_end(fleet: Fleet, budget: int) -> None:
    rounds = 0
    while moves := plan_moves(fleet.sessions, fleet.loads, draining=fleet.draining, handovers=budget, rebalance=True):
        fleet = fleet.after(moves)
        rounds += 1
        assert rounds <= 3 * len(fleet.sessions)


def test_a_new_shard_is_given_what_the_ring_proposes_for_it() -> None:
    sessions = new_sessions(1000)
    now = tuple(replace(s, movable=True) for s in applied(sessions, plan_moves(sessions, shards(9))))
    fresh = {move.session_id: move.to for move in plan_moves(sessions, shards(10))}
    moves = plan_moves(now, counted(shards(10), now), handovers=1000, rebalance=True)
    assert {move.to for move in moves} == {"shard_09"}
    assert len(moves) == int(1000 / 10 / LOAD_FACTOR)
    at_home = sum(fresh[move.session_id] == "shard_09" for move in moves)
    assert at_home >= 0.75 * len(moves)


def test_a_balanced_fleet_is_left_alone() -> None:
    sessions = new_sessions(1000)
    now = tuple(replace(s, movable=True) for s in applied(sessions, plan_moves(sessions, shards(5))))
    assert plan_moves(now, counted(shards(5), now), handovers=1000, rebalance=True) == ()
