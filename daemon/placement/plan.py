"""`plan_moves`: from one immutable view of sessions and shards, which sessions must be placed anew."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from daemon.placement.ring import Ring, ShardLoad, choose


@dataclass(frozen=True, kw_only=True)
class Placeable:
    """A session that should run, and where it is placed now."""

    session_id: str
    shard: str | None


@dataclass(frozen=True, kw_only=True)
class Move:
    """One placement to make."""

    session_id: str
    before: str | None
    to: str


def plan_moves(
    sessions: tuple[Placeable, ...], loads: Mapping[str, ShardLoad], *, in_grace: frozenset[str]
) -> tuple[Move, ...]:
    """Return the placements to make, in a stable order.

    A session stays where it is as long as its shard lives (`loads` holds the living ones, with the sessions placed on
    them) or is gone for less than the grace time (`in_grace`). Only the others are placed by the ring; those for which
    every shard is full are left out and come again with the next view.
    """
    ring = Ring(list(loads))
    carried = dict(loads)
    moves = []
    for session in sorted(sessions, key=lambda s: s.session_id):
        if session.shard in loads or session.shard in in_grace:
            continue
        to = choose(session.session_id, ring, carried)
        if to is None:
            continue
        carried[to] = replace(carried[to], sessions=carried[to].sessions + 1)
        moves.append(Move(session_id=session.session_id, before=session.shard, to=to))
    return tuple(moves)
