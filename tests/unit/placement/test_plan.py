"""Placing what has no living shard: bounded, complete, stable, and nothing that runs is touched."""

import random
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from daemon.placement.plan import MoveWhy, Placeable, plan_moves
from daemon.placement.ring import ShardLoad, bounds
from tests.unit.placement.fleet import Fleet, applied, counted, examples, fleets, new_sessions, shards

SESSIONS = new_sessions(400)


def placed(sessions: tuple[Placeable, ...], loads: dict[str, ShardLoad]) -> dict[str, str | None]:
    return {session.session_id: session.shard for session in applied(sessions, plan_moves(sessions, loads))}


@examples
@given(st.lists(st.integers(1, 100), min_size=1, max_size=12), st.integers(0, 400))
def test_no_shard_gets_more_than_its_bounded_share(capacities: list[int], sessions: int) -> None:
    loads = {f"s{i}": ShardLoad(name=f"s{i}", sessions=0, capacity=c) for i, c in enumerate(capacities)}
    where = list(placed(SESSIONS[:sessions], loads).values())
    limits = bounds(loads.values(), sessions)
    assert all(where.count(name) <= limits[name] for name in loads)
    assert where.count(None) == max(0, sessions - sum(capacities))


@examples
@given(fleets())
def test_nothing_is_left_out_while_a_shard_has_room(fleet: Fleet) -> None:
    moves = plan_moves(fleet.sessions, fleet.loads, draining=fleet.draining)
    assert len(moves) == min(fleet.homeless(), fleet.room())
    after = fleet.after(moves)
    for load in after.usable():
        assert load.sessions <= max(load.capacity, fleet.loads[load.name].sessions)


@examples
@given(fleets())
def test_without_a_drain_or_rebalancing_only_what_has_no_living_shard_is_placed(fleet: Fleet) -> None:
    takes = {load.name for load in fleet.usable()}
    for move in plan_moves(fleet.sessions, fleet.loads, draining=fleet.draining, handovers=0, rebalance=True):
        assert move.before not in fleet.loads
        assert move.why is (MoveWhy.NEW if move.before is None else MoveWhy.LOST)
        assert move.to in takes


@examples
@given(fleets(), st.randoms(use_true_random=False))
def test_the_order_of_the_view_does_not_matter(fleet: Fleet, rng: random.Random) -> None:
    sessions, names = list(fleet.sessions), list(fleet.loads)
    rng.shuffle(sessions)
    rng.shuffle(names)
    shuffled = {name: fleet.loads[name] for name in names}
    plans = [
        plan_moves(some, loads, draining=fleet.draining, handovers=9, rebalance=True)
        for some, loads in ((fleet.sessions, fleet.loads), (sessions, shuffled))
    ]
    assert plans[0] == plans[1]


@examples
@given(st.integers(2, 20), st.integers(0, 10**6))
def test_one_shard_more_takes_its_share_of_a_fresh_placement_and_disturbs_few_others(count: int, seed: int) -> None:
    sessions = new_sessions(1000, seed)
    before, after = (placed(sessions, shards(n, capacity=500)) for n in (count, count + 1))
    moved = [i for i in before if before[i] != after[i]]
    elsewhere = [i for i in moved if after[i] != f"shard_{count:02d}"]
    assert len(moved) <= 1.25 * 1000 / (count + 1) + 50
    assert len(elsewhere) <= 50


def test_only_the_sessions_of_a_gone_shard_move_and_none_in_its_grace_time() -> None:
    now = applied(SESSIONS, plan_moves(SESSIONS, shards(4)))
    left = {name: load for name, load in counted(shards(4), now).items() if name != "shard_02"}
    assert plan_moves(now, left, in_grace=frozenset({"shard_02"}), handovers=50, rebalance=True) == ()
    moves = plan_moves(now, left)
    assert {m.session_id for m in moves} == {s.session_id for s in now if s.shard == "shard_02"}
    assert all((m.before, m.why) == ("shard_02", MoveWhy.LOST) and m.to in left for m in moves)


def test_a_session_goes_back_to_the_disk_that_has_its_newest_state_even_above_the_bound() -> None:
    torn = tuple(replace(session, prefer="shard_01") for session in SESSIONS)
    moves = plan_moves(torn, shards(4, capacity=300))
    assert sum(move.to == "shard_01" for move in moves) == 300
    assert len(moves) == len(torn)


def test_a_closed_shard_keeps_what_it_has_and_gets_nothing() -> None:
    now = tuple(replace(session, shard="shard_00", movable=True) for session in SESSIONS[:100])
    loads = counted(shards(3), now)
    loads["shard_00"] = replace(loads["shard_00"], open=False)
    moves = plan_moves((*now, *SESSIONS[100:]), loads, handovers=100, rebalance=True)
    assert {move.session_id for move in moves} == {session.session_id for session in SESSIONS[100:]}
    assert {move.to for move in moves} == {"shard_01", "shard_02"}


def test_without_shards_nothing_is_planned() -> None:
    assert plan_moves(SESSIONS, {}, handovers=5, rebalance=True) == ()
