"""Admission of starts: one queue for the sessions of a shard, let in one by one as host and shard allow it.

It owns the queue and the slots that it gave; it starts nothing itself. Fairness between the shards of a host comes
from chance: all look at random moments, and none gets a slot back just because it was the one that gave it.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import datetime
from functools import partial

import structlog

from daemon.core.clock import mono_s
from shards.admission.episode import Episode
from shards.admission.host_slots import HostSlot, HostSlots
from shards.admission.order import Waiting, next_to_start
from shards.admission.rules import Allowed, HostReading, StartLimits, allowed_starts

log = structlog.get_logger()

_LOOK_S = (0.02, 0.06)
_BETWEEN_TWO_S = (0.0, 0.01)
_SHOWS_AFTER_S = 0.5


class Slot:
    """The right to start one session; `leave` it once its page is loaded, or the start has failed."""

    def __init__(self, give_back: Callable[[], None]) -> None:
        self._give_back: Callable[[], None] | None = give_back

    def leave(self) -> None:
        """Give the slot to the next; again is nothing."""
        give_back, self._give_back = self._give_back, None
        if give_back is not None:
            give_back()


class Admission:
    """The starts of one shard."""

    def __init__(
        self,
        host_slots: HostSlots,
        limits: StartLimits,
        *,
        parallel_starts: int,
        read: Callable[[], HostReading],
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """At most `parallel_starts` on this shard; `read` tells of the host and is called while somebody waits."""
        self._host_slots = host_slots
        self._limits = limits
        self._parallel_starts = parallel_starts
        self._read = read
        self._pause = pause
        self._queue: dict[Waiting, asyncio.Future[Slot]] = {}
        self._arrivals = 0
        self._admitted = 0
        self._admitted_mono_s = float("-inf")
        self._active = 0
        self._looking: asyncio.Task[None] | None = None
        self._episode = Episode(limits)
        self._slots_work = True

    @property
    def waiting(self) -> int:
        """How many sessions wait to start."""
        return len(self._queue)

    @property
    def active(self) -> int:
        """How many sessions of this shard are starting."""
        return self._active

    def is_busy(self) -> bool:
        """Whether sessions of this shard start or wait to."""
        return self._active > 0 or self.waiting > 0

    async def enter(self, session_id: str, *, active_at: datetime | None) -> Slot:
        """Wait until this session may start; the slot is the caller's to leave.

        A call that is cancelled leaves neither a slot nor a place in the queue behind.
        """
        self._arrivals += 1
        waiting = Waiting(session_id=session_id, active_at=active_at, arrival=self._arrivals)
        turn: asyncio.Future[Slot] = asyncio.get_running_loop().create_future()
        self._queue[waiting] = turn
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look_while_waiting(), name="admission")
            self._looking.add_done_callback(self._looking_ended)
        try:
            return await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled() and turn.exception() is None:
                turn.result().leave()
            raise
        finally:
            self._queue.pop(waiting, None)

    async def _look_while_waiting(self) -> None:
        # The first pause lets those that come together be put in order, and shards that start together drift apart.
        while self._queue:
            await self._pause(random.uniform(*_LOOK_S))
            while self._admit_one():
                await self._pause(random.uniform(*_BETWEEN_TWO_S))
        self._episode.over()

    def _looking_ended(self, looking: asyncio.Task[None]) -> None:
        """Let nobody wait for a task that does not look any more; one that ended in order left nobody behind."""
        if looking is not self._looking or (not looking.cancelled() and looking.exception() is None):
            return
        for turn in self._queue.values():
            if not turn.done():
                if looking.cancelled():
                    turn.cancel()
                else:
                    turn.set_exception(looking.exception() or AssertionError)

    def _admit_one(self) -> bool:
        """Let the next one in if there is one and it may start."""
        if not self._queue or self._active >= self._parallel_starts:
            return False
        reading = self._read()
        allowed = self._without_bursts(allowed_starts(reading, self._limits))
        held = self._take(allowed.starts)
        if held is None:
            if allowed.shortage is not None:
                self._episode.waits(allowed, reading, waiting=self.waiting)
            return False
        if allowed.shortage is None:
            self._episode.flows()
        waiting = next_to_start(list(self._queue), admitted=self._admitted)
        turn = self._queue.pop(waiting)
        if turn.done():  # its caller was cancelled a moment ago
            held.leave()
            return True
        self._admitted += 1
        self._admitted_mono_s = mono_s()
        self._active += 1
        turn.set_result(Slot(partial(self._left, held)))
        return True

    def _without_bursts(self, allowed: Allowed) -> Allowed:
        """Allow more than a busy host may have only one by one: each start shows only after a moment what it takes."""
        if allowed.starts > self._limits.busy_starts and self._last_start_s() < _SHOWS_AFTER_S:
            return replace(allowed, starts=self._limits.busy_starts)
        return allowed

    def _last_start_s(self) -> float:
        """Return how long ago a start was last let in, here or, if it is still under way, by another shard."""
        own_s = mono_s() - self._admitted_mono_s
        try:
            return min(own_s, self._host_slots.newest_s())
        except OSError:  # told when a slot is taken
            return own_s

    def _take(self, at_most: int) -> HostSlot | None:
        """Take a slot of the host. Without working files only this shard's own starts count: better than no start."""
        try:
            held = self._host_slots.take(at_most)
        except OSError as error:
            if self._slots_work:
                log.error("the host's start slots cannot be used, this shard counts only its own", error=str(error))
            self._slots_work = False
            return HostSlot() if self._active < at_most else None
        self._slots_work = True
        return held

    def _left(self, held: HostSlot) -> None:
        self._active -= 1
        held.leave()
