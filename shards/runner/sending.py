"""The messages of one session that wait to be sent: first come, first sent, with a pause between two of them.

WhatsApp blocks accounts that write like machines, and a queue that nobody waits for to the end helps nobody: what
cannot be sent in time is refused at once.
"""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

from daemon.core.clock import mono_s
from daemon.core.sections import SendSettings

_JITTER = 0.5


@dataclass
class SendTurn:
    """One turn. Who has it sets `begun` before anything may leave: only then a pause follows."""

    begun: bool = False


class SendQueue:
    """The queue of one session."""

    def __init__(self, settings: SendSettings, *, wait_max_s: float, rand: Callable[[], float] = random.random) -> None:
        """`wait_max_s` is how long anybody waits for an answer."""
        self._interval_s = settings.min_interval_ms / 1000
        self._queue_max = settings.queue_max
        self._wait_max_s = wait_max_s
        self._rand = rand
        self._waiting = 0
        self._one = asyncio.Lock()
        self._next_mono_s = 0.0

    def full_for_s(self) -> float | None:
        """Return after how many seconds one more may find room; None when there is room now."""
        mean_s = self._interval_s * (1 + _JITTER / 2)
        ahead_s = max(0.0, self._next_mono_s - mono_s()) + self._waiting * mean_s
        if self._waiting < self._queue_max and ahead_s <= self._wait_max_s:
            return None
        return max(1.0, mean_s, ahead_s - self._wait_max_s)

    def pause_s(self) -> float:
        """Return how long the next pause is: another one each time."""
        return self._interval_s * (1 + _JITTER * self._rand())

    @contextlib.asynccontextmanager
    async def turn(self, stop: asyncio.Future[Any]) -> AsyncIterator[SendTurn]:
        """Wait until all that came before are sent and the pause is over; once `stop` is done, no pause is kept."""
        self._waiting += 1
        try:
            await self._one.acquire()
        finally:
            self._waiting -= 1
        turn = SendTurn()
        try:
            left_s = self._next_mono_s - mono_s()
            if left_s > 0:
                await asyncio.wait([stop], timeout=left_s)
            yield turn
        finally:
            if turn.begun:
                self._next_mono_s = mono_s() + self.pause_s()
            self._one.release()
