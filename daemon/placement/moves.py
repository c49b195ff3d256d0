"""What a plan is made from and made of: sessions that should run, and the placements to make."""

from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True, kw_only=True, slots=True)
class Placeable:
    """A session that should run, and where it is placed now."""

    session_id: str
    shard: str | None
    prefer: str | None = None
    """A shard on whose disk a newer state of it lies than in any store."""
    movable: bool = False
    """Whether a planned handover is allowed now: it is up and settled, or runs nowhere."""


class MoveWhy(StrEnum):
    """Why a session is placed."""

    NEW = "new"
    """It had no shard."""
    LOST = "lost"
    """Its shard is gone."""
    DRAIN = "drain"
    """Its shard hands over everything."""
    REBALANCE = "rebalance"
    """Its shard carries too much, or another one far too little."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Move:
    """One placement to make."""

    session_id: str
    before: str | None
    to: str
    why: MoveWhy
