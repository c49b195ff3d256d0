"""What one restore of many sessions came to, whoever did it."""

import asyncio
import time
from collections import Counter
from dataclasses import asdict, dataclass, field

from bench.counted import Counted, Holding, holding
from bench.report import percentile

_SETTLE_S = 5.0
"""Memory is looked at so long after the last session, when what starting needs has been given back."""
_LOOK_EVERY_S = 0.05
_SAID = 10


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """One restore. Times are from the start of the program that restores."""

    who: str
    asked: int
    ready_s: list[float]
    """When each of those that got ready did so, ascending."""
    failures: dict[str, int]
    """How many did not get ready, by what was seen of them."""
    cpu_s: float
    """Until the last session was ready; of everything that the restore runs on but the S3 server and the stand-in."""
    holding: Holding
    said: dict[str, int] = field(default_factory=dict)
    """Errors that it told, and how often."""

    @property
    def wall_s(self) -> float:
        """From the start to the last session that got ready; 0 if none did."""
        return max(self.ready_s, default=0.0)

    def at_s(self, share: float) -> float:
        """Return when this share (0 to 1) of the sessions that got ready was ready; 0 if none was."""
        return percentile(self.ready_s, share) if self.ready_s else 0.0

    def plain(self) -> dict[str, object]:
        """Return all of it for JSON."""
        return asdict(self) | {"ready": len(self.ready_s), "wall_s": self.wall_s}


class Watch:
    """Notes what becomes of each session. The clock starts with it."""

    def __init__(self, who: str, sessions: set[str], *, patience_s: float, group: Counted) -> None:
        self._who = who
        self._open = set(sessions)
        self._asked = len(sessions)
        self._patience_s = patience_s
        self._group = group
        self._ready_s: list[float] = []
        self._lost: Counter[str] = Counter()
        self._said: Counter[str] = Counter()
        self._cpu_before_s = self._cpu_ready_s = group.cpu_s()
        self._began_mono_s = self._stirred_mono_s = time.monotonic()

    def stir(self) -> None:
        """Something went on."""
        self._stirred_mono_s = time.monotonic()

    def hear(self, error: str) -> None:
        """It tells of an error, whatever became of the session."""
        self.stir()
        self._said[error] += 1

    def ready(self, session: str) -> None:
        """A session is usable."""
        if session in self._open:
            self.stir()
            self._open.discard(session)
            self._ready_s.append(self._stirred_mono_s - self._began_mono_s)
            self._cpu_ready_s = self._group.cpu_s()

    def lose(self, session: str, why: str) -> None:
        """A session will not get ready."""
        if session in self._open:
            self.stir()
            self._open.discard(session)
            self._lost[why] += 1

    def lose_rest(self, why: str) -> None:
        """None of the sessions of which nothing is known yet will get ready."""
        for session in list(self._open):
            self.lose(session, why)

    async def over(self) -> set[str]:
        """Wait until something is known of every session, or nothing goes on any more; return those still open."""
        while self._open and time.monotonic() - self._stirred_mono_s < self._patience_s:
            await asyncio.sleep(_LOOK_EVERY_S)
        return set(self._open)

    async def found(self) -> Outcome:
        """Sum up; sessions that are still open go down as not ready."""
        if not self._ready_s:
            self._cpu_ready_s = self._group.cpu_s()
        self.lose_rest("not ready")
        await asyncio.sleep(_SETTLE_S)
        return Outcome(
            who=self._who,
            asked=self._asked,
            ready_s=self._ready_s,
            failures=dict(self._lost),
            cpu_s=self._cpu_ready_s - self._cpu_before_s,
            holding=await asyncio.to_thread(holding, self._group.processes()),
            said=dict(self._said.most_common(_SAID)),
        )
