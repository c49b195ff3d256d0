"""A consistent-hash ring with bounded loads.

Consistent hashing: Karger et al. 1997; bounded loads: Mirrokni, Thorup, Zadimoghaddam, "Consistent Hashing with
Bounded Loads", 2016. The ring only proposes: a placement once made is kept in the session's record.
"""

import bisect
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import blake2b

VIRTUAL_NODES = 64
"""Points on the ring for each shard of weight 1; the spread of shares shrinks with its root."""
LOAD_FACTOR = 1.25
"""No shard gets more than this times its fair share, as long as it is not alone."""


@dataclass(frozen=True, kw_only=True)
class ShardLoad:
    """What a shard carries now and the most it may carry."""

    name: str
    sessions: int
    capacity: int


def _point(text: str) -> int:
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big")


class Ring:
    """Virtual nodes of some shards on a circle of 64-bit points; immutable."""

    def __init__(self, names: Iterator[str] | Mapping[str, object] | list[str] | tuple[str, ...]) -> None:
        self._points = sorted((_point(f"{name}#{i}"), name) for name in set(names) for i in range(VIRTUAL_NODES))

    def walk(self, session_id: str) -> Iterator[str]:
        """Yield every shard once, in the order in which the ring proposes them for this session."""
        start = bisect.bisect(self._points, (_point(session_id), ""))
        seen: set[str] = set()
        for _, name in self._points[start:] + self._points[:start]:
            if name not in seen:
                seen.add(name)
                yield name


def load_limit(load: ShardLoad, loads: Mapping[str, ShardLoad]) -> int:
    """Return how many sessions this shard may carry once one more is placed: its fair share times LOAD_FACTOR, at
    most its capacity; shares are weighed by capacity."""
    total = sum(x.sessions for x in loads.values()) + 1
    weight = load.capacity / max(1, sum(x.capacity for x in loads.values()))
    return min(load.capacity, math.ceil(LOAD_FACTOR * total * weight))


def choose(session_id: str, ring: Ring, loads: Mapping[str, ShardLoad]) -> str | None:
    """Return the first shard on the ring that may carry one more session, or None when all are full."""
    for name in ring.walk(session_id):
        if name in loads and loads[name].sessions < load_limit(loads[name], loads):
            return name
    return None
