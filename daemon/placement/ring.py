"""A consistent-hash ring with bounded loads: where each session is proposed, and how many a shard may carry.

Consistent hashing: Karger et al. 1997; bounded loads: Mirrokni, Thorup, Zadimoghaddam, "Consistent Hashing with
Bounded Loads", 2016. The ring only proposes: a placement once made is kept in the session's record.
"""

import math
from array import array
from bisect import bisect
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from itertools import chain
from struct import unpack

LOAD_FACTOR = 1.25
"""No shard is given more than this times its fair share (rounded up)."""

_POINTS_A_DIGEST = 8
_CAPACITY_A_DIGEST = 4
"""So a shard has two points for each session that it may carry: shares of 400 points differ by some 5 %."""
_DIGESTS_MAX = 2500
"""Of a shard of 10,000 sessions or more, so that no number in a heartbeat can make the ring huge."""
_OWNER = 0xFFFF
"""The low bits of a point say whose it is: an index into the names. The rest is from the digest."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ShardLoad:
    """What a living shard carries now and the most it may carry."""

    name: str
    sessions: int
    capacity: int
    """In sessions, and so also the shard's weight on the ring and in the fair shares."""
    open: bool = True
    """Whether it takes anything new. One that does not (it drains, stops, crashed too often) keeps what it has."""


class Ring:
    """Virtual nodes of some shards on a circle; immutable.

    How many nodes a shard has depends on nothing but its own capacity, and a change of that only adds or removes its
    last ones. So shards that come, go or change never shift what lies between the others.
    """

    def __init__(self, loads: Iterable[ShardLoad]) -> None:
        self._names, self._points = _circle(tuple(sorted((load.name, _digests(load.capacity)) for load in loads)))

    def walk(self, session_id: str) -> Iterator[str]:
        """Yield every shard once, in the order in which the ring proposes them for this session."""
        names, points = self._names, self._points
        start = bisect(points, int.from_bytes(blake2b(session_id.encode(), digest_size=8).digest(), "big"))
        seen: set[int] = set()
        for position in chain(range(start, len(points)), range(start)):
            owner = points[position] & _OWNER
            if owner not in seen:
                yield names[owner]
                seen.add(owner)
                if len(seen) == len(names):
                    return


def _digests(capacity: int) -> int:
    return min(max(1, math.ceil(capacity / _CAPACITY_A_DIGEST)), _DIGESTS_MAX)


@lru_cache(maxsize=4)
def _circle(weights: tuple[tuple[str, int], ...]) -> tuple[tuple[str, ...], "array[int]"]:
    """Return the names, and the points in their order. Remembered: it is the same from one look to the next."""
    points: list[int] = []
    for owner, (name, digests) in enumerate(weights):
        for number in range(digests):
            digest = blake2b(f"{name}#{number}".encode(), digest_size=8 * _POINTS_A_DIGEST).digest()
            points.extend(point & ~_OWNER | owner for point in unpack(f">{_POINTS_A_DIGEST}Q", digest))
    return tuple(name for name, _ in weights), array("Q", sorted(points))


def fair_shares(loads: Collection[ShardLoad], total: int) -> dict[str, float]:
    """Return how many of `total` sessions each shard would carry if all were equally full for their capacity."""
    capacity = max(1, sum(load.capacity for load in loads))
    return {load.name: total * load.capacity / capacity for load in loads}


def bounds(loads: Collection[ShardLoad], total: int) -> dict[str, int]:
    """Return how many of `total` sessions each of these shards may carry: LOAD_FACTOR times its fair share, rounded
    up, at most its capacity.

    As shares are weighed by capacity, either all capacities are used to the full or the bounds add up to more than
    `total`: while fewer than that are placed, some shard is below its bound, or all are at capacity.
    """
    shares = fair_shares(loads, total)
    return {load.name: min(load.capacity, math.ceil(LOAD_FACTOR * shares[load.name])) for load in loads}


def choose(session_id: str, ring: Ring, loads: Mapping[str, ShardLoad], prefer: str | None = None) -> str | None:
    """Return the shard for one more session: the first open one on the ring below its bound; None when all are full.

    `prefer` is a shard whose disk has a newer state of the session than any store: it is taken if it is open and
    below its capacity, even above its bound.
    """
    usable = {load.name: load for load in loads.values() if load.open}
    if prefer in usable and usable[prefer].sessions < usable[prefer].capacity:
        return prefer
    limits = bounds(usable.values(), sum(load.sessions for load in usable.values()) + 1)
    for name in ring.walk(session_id):
        if name in usable and usable[name].sessions < limits[name]:
            return name
    return None
