"""How late the shard's event loop is: the largest delay of a short timer. A stalled loop stalls every session."""

import asyncio
from collections import deque
from collections.abc import Callable

from daemon.core.clock import mono_s

_INTERVAL_S = 0.1
_RECENT = 20


class LoopLag:
    """Measures by a timer that fires every 100 ms."""

    def __init__(self, *, clock: Callable[[], float] = mono_s) -> None:
        self._clock = clock
        self._recent_s: deque[float] = deque(maxlen=_RECENT)
        self._largest_s = 0.0
        self._due_mono_s: float | None = None

    @property
    def recent_ms(self) -> float:
        """Largest delay of the last two seconds."""
        return max([*self._recent_s, self._overdue_s()]) * 1000

    def take_ms(self) -> float:
        """Return the largest delay since the last call of this, one that goes on at this moment included."""
        largest_s, self._largest_s = max(self._largest_s, self._overdue_s()), 0.0
        return largest_s * 1000

    async def run(self, stop: asyncio.Event) -> None:
        """Measure until `stop` is set."""
        try:
            while not stop.is_set():
                self._due_mono_s = self._clock() + _INTERVAL_S
                await asyncio.sleep(_INTERVAL_S)
                self.note(self._overdue_s())
        finally:
            self._due_mono_s = None

    def note(self, late_s: float) -> None:
        """Count one delay."""
        self._recent_s.append(late_s)
        self._largest_s = max(self._largest_s, late_s)

    def _overdue_s(self) -> float:
        return max(0.0, self._clock() - self._due_mono_s) if self._due_mono_s is not None else 0.0
