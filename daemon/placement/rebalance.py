"""Evening out: the fewest moves after which no shard carries too much for its bound or far too little for its share.

Between 1/LOAD_FACTOR and LOAD_FACTOR times its fair share a shard is left as it is. Each move takes away from what is
too much on one shard or missing on another, and makes nothing too much or missing elsewhere: so plans that are applied
one after another come to an end, and nothing goes back and forth.
"""

from collections.abc import Iterator, Sequence

from daemon.placement.carried import Carried
from daemon.placement.moves import Move, MoveWhy, Placeable
from daemon.placement.ring import LOAD_FACTOR


def plan_rebalance(movable: Sequence[Placeable], carried: Carried, budget: int) -> Iterator[Move]:
    """Yield at most `budget` moves, counting each. `movable` are sessions on the open shards, in a stable order.

    Of the sessions that could go, those go first which the ring would put elsewhere anyway.
    """
    evening = _Evening(carried)
    if evening.done:
        return
    left = budget
    moved: set[str] = set()
    for may_go in (evening.strays_from_too_much, evening.is_on_too_much, evening.belongs_to_short, evening.may_fill):
        for session in movable:
            if left <= 0 or evening.done:
                return
            if session.session_id in moved or not may_go(session):
                continue
            move = evening.move(session)
            if move is None:
                return
            yield move
            moved.add(session.session_id)
            left -= 1


class _Evening:
    """Which shards carry too much or are short, by the counts as they are after the moves so far."""

    def __init__(self, carried: Carried) -> None:
        self._carried = carried
        counts, limits = carried.counts, carried.bounds
        self._floors = {name: min(limits[name], int(share / LOAD_FACTOR)) for name, share in carried.shares.items()}
        self._short = {name for name in counts if counts[name] < self._floors[name]}
        self._too_much = {name for name in counts if counts[name] > limits[name]}

    @property
    def done(self) -> bool:
        return not self._short and not self._too_much

    def is_on_too_much(self, session: Placeable) -> bool:
        return session.shard in self._too_much

    def strays_from_too_much(self, session: Placeable) -> bool:
        return session.shard in self._too_much and self._first(session) != session.shard

    def may_fill(self, session: Placeable) -> bool:
        """Whether a shard is short and this session's shard has more than its share, so that it is not short next."""
        shard = session.shard
        return bool(self._short) and shard is not None and self._carried.counts[shard] > self._carried.shares[shard]

    def belongs_to_short(self, session: Placeable) -> bool:
        return self.may_fill(session) and self._first(session) in self._short

    def _first(self, session: Placeable) -> str:
        return next(self._carried.ring.walk(session.session_id))

    def move(self, session: Placeable) -> Move | None:
        """Move it to the first shard on the ring that is short; if none is, to the first below its bound, if any."""
        before, to = session.shard, next(filter(self._takes, self._carried.ring.walk(session.session_id)), None)
        if before is None or to is None:
            return None
        self._carried.shift(before, to)
        if self._carried.counts[to] >= self._floors[to]:
            self._short.discard(to)
        if self._carried.counts[before] <= self._carried.bounds[before]:
            self._too_much.discard(before)
        return Move(session_id=session.session_id, before=before, to=to, why=MoveWhy.REBALANCE)

    def _takes(self, name: str) -> bool:
        return name in self._short if self._short else self._carried.counts[name] < self._carried.bounds[name]
