"""`plan_moves`: from one immutable view of sessions and shards, which sessions must be placed anew."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from operator import attrgetter

from daemon.placement.carried import Carried
from daemon.placement.moves import Move, MoveWhy, Placeable
from daemon.placement.rebalance import plan_rebalance
from daemon.placement.ring import ShardLoad

__all__ = ["Move", "MoveWhy", "Placeable", "plan_moves"]

_by_id = attrgetter("session_id")


def plan_moves(
    sessions: Collection[Placeable],
    loads: Mapping[str, ShardLoad],
    *,
    in_grace: frozenset[str] = frozenset(),
    draining: frozenset[str] = frozenset(),
    handovers: int = 0,
    rebalance: bool = False,
) -> tuple[Move, ...]:
    """Return the placements to make, in a stable order: what runs nowhere first, then drains, then rebalancing.

    A session stays where it is as long as its shard lives (`loads` holds the living ones, with the sessions placed on
    them) or is gone for less than the grace time (`in_grace`). The others are placed by the ring; those for which all
    shards are full are left out and come again with the next view.

    Living sessions move only if they are `movable`, at most `handovers` of them: those on `draining` shards, then, if
    `rebalance` is asked for, some of those on shards above their bound, and some for shards that have far too little.
    Rebalancing waits while a shard is in its grace time: what it comes back with would have to be evened out again.
    """
    stay = loads.keys() | in_grace
    homeless = sorted((s for s in sessions if s.shard not in stay), key=_by_id)
    emptied = draining & loads.keys()
    leaving = sorted((s for s in sessions if s.shard in emptied and s.movable), key=_by_id) if emptied else []
    del leaving[max(0, handovers) :]
    even_out = rebalance and not in_grace
    if not homeless and not leaving and not even_out:
        return ()
    usable = [load for load in loads.values() if load.open and load.capacity > 0 and load.name not in draining]
    carried = Carried(usable, len(homeless) + len(leaving))
    moves = [*_place(homeless, carried), *_place(leaving, carried, MoveWhy.DRAIN)]
    left = handovers - sum(move.why is MoveWhy.DRAIN for move in moves)
    if even_out and left > 0:
        moves += _rebalance(sessions, carried, left)
    return tuple(moves)


def _place(sessions: Iterable[Placeable], carried: Carried, why: MoveWhy | None = None) -> Iterator[Move]:
    for session in sessions:
        to = carried.take(session.session_id, session.prefer)
        if to is not None:
            because = why or (MoveWhy.NEW if session.shard is None else MoveWhy.LOST)
            yield Move(session_id=session.session_id, before=session.shard, to=to, why=because)


def _rebalance(sessions: Iterable[Placeable], carried: Carried, budget: int) -> Iterator[Move]:
    movable = sorted((s for s in sessions if s.movable and s.shard in carried.counts), key=_by_id)
    return plan_rebalance(movable, carried, budget)
