"""The ring: the same everywhere, proportional to capacity, and shards that come or go do not disturb the others."""

import os
import subprocess
import sys
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.placement.ring import LOAD_FACTOR, Ring, ShardLoad, bounds, choose
from tests.unit.placement.fleet import examples, named, new_sessions, shards

CAPACITIES = st.dictionaries(
    st.sampled_from([f"shard_{i:02d}" for i in range(12)]), st.integers(1, 300), min_size=2, max_size=12
)
SESSION_IDS = [session.session_id for session in new_sessions(100)]


def firsts(ring: Ring, ids: list[str]) -> dict[str, str]:
    return {session_id: next(ring.walk(session_id)) for session_id in ids}


def test_the_proposal_stays_what_it_was() -> None:
    # Another hash, or other points, would propose other shards for every session there is.
    assert list(Ring(shards(4).values()).walk("session-7-12")) == ["shard_03", "shard_01", "shard_00", "shard_02"]


@pytest.mark.parametrize("seed", ["0", "1", "4711"])
def test_plans_are_the_same_in_every_process(seed: str) -> None:
    script = (
        "from tests.unit.placement.fleet import examples, new_sessions, shards;"
        "from daemon.placement.plan import plan_moves;"
        "print(*((m.session_id, m.to) for m in plan_moves(set(new_sessions(60)), shards(7))))"
    )
    run = [
        subprocess.run(
            [sys.executable, "-c", script],
            env=os.environ | {"PYTHONHASHSEED": hash_seed},
            capture_output=True,
            check=True,
            timeout=60,
        ).stdout
        for hash_seed in ("12", seed)
    ]
    assert run[0] == run[1]
    assert run[0].count(b"session-") == 60


@examples
@given(CAPACITIES, st.text(max_size=20))
def test_every_shard_is_proposed_once(capacities: dict[str, int], session_id: str) -> None:
    walk = list(Ring(named(capacities).values()).walk(session_id))
    assert sorted(walk) == sorted(capacities)


@examples
@given(CAPACITIES)
def test_a_shard_that_goes_is_left_out_and_nothing_else_changes(capacities: dict[str, int]) -> None:
    loads = named(capacities)
    gone = min(loads)
    before, after = Ring(loads.values()), Ring(load for load in loads.values() if load.name != gone)
    for session_id in SESSION_IDS[:20]:
        assert [name for name in before.walk(session_id) if name != gone] == list(after.walk(session_id))


@examples
@given(CAPACITIES, st.integers(1, 300))
def test_a_shard_that_grows_takes_from_all_and_shifts_nothing_between_the_others(
    capacities: dict[str, int], more: int
) -> None:
    loads = named(capacities)
    grown = min(loads)
    larger = loads | {grown: replace(loads[grown], capacity=loads[grown].capacity + more)}
    before, after = (firsts(Ring(some.values()), SESSION_IDS) for some in (loads, larger))
    assert {after[i] for i in SESSION_IDS if after[i] != before[i]} <= {grown}


@examples
@given(st.integers(0, 10**6))
def test_shares_are_in_proportion_to_capacity(seed: int) -> None:
    capacities = {f"shard_{i}_{seed}": 100 * (1 + i % 4) for i in range(8)}
    ids = [session.session_id for session in new_sessions(2000, seed)]
    counts = Counter(firsts(Ring(named(capacities).values()), ids).values())
    for name, capacity in capacities.items():
        assert counts[name] / len(ids) == pytest.approx(capacity / sum(capacities.values()), rel=0.5)


def test_a_huge_capacity_does_not_make_a_huge_ring() -> None:
    ring = Ring([ShardLoad(name="a", sessions=0, capacity=10**12), ShardLoad(name="b", sessions=0, capacity=10**4)])
    counts = Counter(firsts(ring, [session.session_id for session in new_sessions(2000)]).values())
    assert counts["b"] == pytest.approx(1000, rel=0.2)


@examples
@given(CAPACITIES, st.integers(1, 4000))
def test_bounds_have_room_for_all_or_are_the_capacities(capacities: dict[str, int], total: int) -> None:
    loads = named(capacities)
    limits = bounds(loads.values(), total)
    assert all(limits[name] <= capacity for name, capacity in capacities.items())
    assert sum(limits.values()) >= total or limits == capacities


def test_one_session_goes_to_the_first_open_shard_below_its_bound() -> None:
    loads = shards(3)
    first, second, third = Ring(loads.values()).walk("s")
    assert choose("s", Ring(loads.values()), loads) == first
    loads[first] = replace(loads[first], sessions=10)
    assert choose("s", Ring(loads.values()), loads) == second
    loads[second] = replace(loads[second], open=False)
    assert choose("s", Ring(loads.values()), loads) == third


def test_a_preferred_shard_is_taken_above_its_bound_but_not_above_its_capacity_and_not_closed() -> None:
    loads = shards(3, capacity=20)
    ring = Ring(loads.values())
    first, _, last = ring.walk("s")
    loads[last] = replace(loads[last], sessions=19)
    assert loads[last].sessions > LOAD_FACTOR * 20 / 3
    assert choose("s", ring, loads, last) == last
    for unfit in (replace(loads[last], sessions=20), replace(loads[last], open=False)):
        assert choose("s", ring, loads | {last: unfit}, last) == first
    assert choose("s", ring, loads, "shard_gone") == first


def test_without_open_shards_nothing_is_chosen() -> None:
    closed = {name: replace(load, open=False) for name, load in shards(2).items()}
    full = {name: replace(load, sessions=1000) for name, load in shards(2).items()}
    for loads in ({}, closed, full):
        assert choose("s", Ring(loads.values()), loads) is None
