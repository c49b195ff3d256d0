"""What a restore has put in place."""

from dataclasses import dataclass, field

from daemon.sessions.copies import Order
from shards.page.overlay import Overlay
from shards.restore.phases import Phases


@dataclass(frozen=True, kw_only=True)
class Restored:
    """What is in the profile directory now; `source` is `local`, `redis`, `r2`, or None for an empty profile."""

    source: str | None
    order: Order | None = None
    """The `(token, generation)` of what was restored; None when nobody knows it."""
    overlay: Overlay | None = field(default=None, repr=False)
    damaged: int = 0
    """Copies that had to be passed over."""
    phases: Phases = field(default_factory=Phases, repr=False, compare=False)
    """How long the steps took; those that follow are added to it."""
