"""The ring: stable, balanced within its bound, and moving only what it must."""

import math

from hypothesis import given
from hypothesis import strategies as st

from daemon.placement.plan import Placeable, plan_moves
from daemon.placement.ring import LOAD_FACTOR, Ring, ShardLoad, choose

SESSIONS = tuple(Placeable(session_id=f"session-{i}", shard=None) for i in range(400))


def shards(count: int, capacity: int = 1000) -> dict[str, ShardLoad]:
    return {f"shard_{i:02d}": ShardLoad(name=f"shard_{i:02d}", sessions=0, capacity=capacity) for i in range(count)}


def placed(count: int, sessions: tuple[Placeable, ...] = SESSIONS) -> dict[str, str]:
    return {move.session_id: move.to for move in plan_moves(sessions, shards(count), in_grace=frozenset())}


def test_the_proposal_is_the_same_in_every_process() -> None:
    assert list(Ring(shards(4).values()).walk("session-7-12")) == ["shard_03", "shard_00", "shard_01", "shard_02"]


@given(st.integers(1, 12), st.integers(1, 300))
def test_no_shard_gets_more_than_its_bounded_share(count: int, sessions: int) -> None:
    where = placed(count, SESSIONS[:sessions])
    assert len(where) == sessions
    most = max(list(where.values()).count(name) for name in shards(count))
    assert most <= math.ceil(LOAD_FACTOR * sessions / count)


@given(st.integers(1, 8), st.integers(0, 40))
def test_capacity_is_never_exceeded(count: int, capacity: int) -> None:
    loads = shards(count, capacity=max(1, capacity))
    moves = plan_moves(SESSIONS, loads, in_grace=frozenset())
    for name in loads:
        assert sum(move.to == name for move in moves) <= max(1, capacity)


def test_what_is_placed_on_a_living_shard_stays_whatever_the_ring_says() -> None:
    settled = tuple(Placeable(session_id=s.session_id, shard="shard_00") for s in SESSIONS)
    assert plan_moves(settled, shards(5), in_grace=frozenset()) == ()


def test_only_the_sessions_of_a_gone_shard_move_and_none_in_its_grace_time() -> None:
    where = placed(4)
    now = tuple(Placeable(session_id=i, shard=name) for i, name in where.items())
    left = {name: load for name, load in shards(4).items() if name != "shard_02"}
    assert plan_moves(now, left, in_grace=frozenset({"shard_02"})) == ()
    moves = plan_moves(now, left, in_grace=frozenset())
    assert {m.session_id for m in moves} == {i for i, name in where.items() if name == "shard_02"}
    assert all(m.before == "shard_02" and m.to in left for m in moves)


def test_without_shards_nothing_is_planned() -> None:
    assert plan_moves(SESSIONS, {}, in_grace=frozenset()) == ()
    assert choose("session-1", Ring([]), {}) is None
