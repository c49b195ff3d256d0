"""What each open shard carries while a plan is being made: every move that is planned counts at once."""

from collections.abc import Collection
from functools import cached_property

from daemon.placement.ring import Ring, ShardLoad, bounds, fair_shares


class Carried:
    """The counts of one plan. Bounds and shares are worked out once, for the number of sessions at its end."""

    def __init__(self, usable: Collection[ShardLoad], coming: int) -> None:
        """`usable` are the shards that may be given sessions, `coming` how many they will be given."""
        total = sum(load.sessions for load in usable) + coming
        self.counts = {load.name: load.sessions for load in usable}
        self.shares = fair_shares(usable, total)
        self.bounds = bounds(usable, total)
        self._usable = usable
        self._capacity = {load.name: load.capacity for load in usable}
        self._room = sum(max(0, load.capacity - load.sessions) for load in usable)

    @cached_property
    def ring(self) -> Ring:
        """The ring of these shards; not made before it is needed, as most looks move nothing."""
        return Ring(self._usable)

    def take(self, session_id: str, prefer: str | None = None) -> str | None:
        """Find a shard for one more session by the rules of `choose`, and count it there; None when all are full."""
        if self._room == 0:
            return None
        counts, limits = self.counts, self.bounds
        if prefer is not None and prefer in counts and counts[prefer] < self._capacity[prefer]:
            return self._give(prefer)
        for name in self.ring.walk(session_id):
            if counts[name] < limits[name]:
                return self._give(name)
        return None

    def shift(self, before: str, to: str) -> None:
        """Count a session on another shard than before."""
        self.counts[before] -= 1
        self.counts[to] += 1

    def _give(self, name: str) -> str:
        self.counts[name] += 1
        self._room -= 1
        return name
