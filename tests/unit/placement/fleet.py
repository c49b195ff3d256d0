"""Shards and sessions that tests of placement begin with, and what applying a plan makes of them."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from hypothesis import settings
from hypothesis import strategies as st

from daemon.placement.plan import Move, Placeable
from daemon.placement.ring import ShardLoad

examples = settings(deadline=None, max_examples=60)
"""For property tests: how long one example takes says nothing here."""


def shards(count: int, capacity: int = 1000) -> dict[str, ShardLoad]:
    """Empty shards of one size."""
    return named({f"shard_{number:02d}": capacity for number in range(count)})


def named(capacities: Mapping[str, int]) -> dict[str, ShardLoad]:
    """Empty shards of given sizes."""
    return {name: ShardLoad(name=name, sessions=0, capacity=capacity) for name, capacity in capacities.items()}


def new_sessions(count: int, seed: int = 0) -> tuple[Placeable, ...]:
    """Sessions that have no shard."""
    return tuple(Placeable(session_id=f"session-{number}-{seed}", shard=None) for number in range(count))


def counted(loads: Mapping[str, ShardLoad], sessions: Iterable[Placeable]) -> dict[str, ShardLoad]:
    """The loads with the sessions that are placed on them."""
    counts = Counter(session.shard for session in sessions)
    return {name: replace(load, sessions=counts[name]) for name, load in loads.items()}


def applied(sessions: Sequence[Placeable], moves: Iterable[Move]) -> tuple[Placeable, ...]:
    """The sessions after a plan was carried out; every move begins where its session is."""
    to = {}
    where = {session.session_id: session.shard for session in sessions}
    for move in moves:
        assert move.before == where[move.session_id]
        assert move.session_id not in to, "one plan moves a session once"
        to[move.session_id] = move.to
    return tuple(replace(s, shard=to.get(s.session_id, s.shard)) for s in sessions)


@dataclass(frozen=True, kw_only=True)
class Fleet:
    """Sessions anywhere, on living shards, gone ones and none."""

    sessions: tuple[Placeable, ...]
    loads: Mapping[str, ShardLoad]
    draining: frozenset[str]

    def after(self, moves: Iterable[Move]) -> "Fleet":
        """What applying a plan leads to."""
        sessions = applied(self.sessions, moves)
        return replace(self, sessions=sessions, loads=counted(self.loads, sessions))

    def usable(self) -> list[ShardLoad]:
        """The shards that may be given sessions."""
        return [load for load in self.loads.values() if load.open and load.name not in self.draining]

    def room(self) -> int:
        """How many sessions fit in."""
        return sum(max(0, load.capacity - load.sessions) for load in self.usable())

    def homeless(self) -> int:
        """How many sessions have no living shard."""
        return sum(session.shard not in self.loads for session in self.sessions)


@st.composite
def fleets(draw: st.DrawFn, *, homeless: bool = True) -> Fleet:
    """Any fleet of up to eight shards: some closed, some drained, some too full."""
    capacities = draw(st.lists(st.integers(1, 40), min_size=1, max_size=8))
    loads = {
        name: replace(load, open=draw(st.integers(0, 5)) > 0)
        for name, load in named({f"shard_{i}": capacity for i, capacity in enumerate(capacities)}).items()
    }
    places = [*loads, *loads, None, "shard_gone"] if homeless else [*loads]
    wheres = draw(st.lists(st.sampled_from(places), max_size=120))
    pinned = draw(st.sets(st.integers(0, 119), max_size=20))
    seed = draw(st.integers(0, 999))
    sessions = tuple(
        Placeable(session_id=f"session-{number}-{seed}", shard=shard, movable=number not in pinned)
        for number, shard in enumerate(wheres)
    )
    draining = frozenset(draw(st.sets(st.sampled_from([*loads]), max_size=2)))
    return Fleet(sessions=sessions, loads=counted(loads, sessions), draining=draining)
