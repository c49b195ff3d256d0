"""Who starts next: the most recently active session, and now and then the one that has waited longest. Pure."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

LONGEST_WAITING_EVERY = 4
"""Every so many admissions the one that has waited longest comes first, so that no session waits for ever."""

_NEVER = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, kw_only=True, eq=False)
class Waiting:
    """One session that waits to start."""

    session_id: str
    active_at: datetime | None
    """When it was last used; None if that is not known: it comes after all others."""
    arrival: int
    """Grows with each session that comes."""
    chance: float = field(default_factory=random.random)
    """Decides between sessions that were active at the same time, so that shards do not all begin with the same."""


def next_to_start(waiting: Sequence[Waiting], *, admitted: int) -> Waiting:
    """Return who starts next, when `admitted` sessions were admitted before; `waiting` must not be empty."""
    if admitted % LONGEST_WAITING_EVERY == LONGEST_WAITING_EVERY - 1:
        return min(waiting, key=lambda one: one.arrival)
    return max(waiting, key=lambda one: (one.active_at or _NEVER, one.chance))
