"""Whether an endpoint works as a whole: who may post now, while it works, fails, is down, or is paused.

A session that is refused is that session's trouble. The endpoint is down when no connection comes about, or when for a
while it took nothing and refused several sessions: then one event at a time finds out whether it is back, first of
those sessions that were not refused. Who is parked already says nothing about the others.
"""

import asyncio
from collections import deque
from collections.abc import Callable

import structlog

from daemon.core.clock import mono_s
from daemon.core.loops import first_done, sleep_or_stop
from daemon.webhooks.schedule import Answer, RetrySchedule, pause_s

log = structlog.get_logger()

GONE_MAX = 20
"""So many events in a row answered with 410 pause the endpoint."""

_FAILING_AFTER = 3
_DOWN_AFTER_SESSIONS = 5
_DOWN_AFTER_PAUSES = 10
"""So many first pauses must pass with nothing taken before refusals alone mean that the endpoint is down."""
_PROBE_CAP_S = 30.0
_FRESH_CAP_S = 5.0
"""Longest pause before a session that was not refused is probed: it may be one of those that are taken."""

Turn = asyncio.Future[None]


class Gate:
    """The state of one endpoint. Whoever posts calls `enter` before and `note` after it."""

    def __init__(
        self,
        endpoint: str,
        host: str,
        *,
        schedule: RetrySchedule,
        rand: Callable[[], float],
        failing_since_ms: int | None = None,
    ) -> None:
        """`failing_since_ms` says since when it has failed for the leader before this one; None: it worked."""
        self._names = {"endpoint": endpoint, "host": host}
        self._schedule = RetrySchedule(first_s=schedule.first_s, cap_s=min(schedule.cap_s, _PROBE_CAP_S))
        self._down_after_ms = schedule.first_s * _DOWN_AFTER_PAUSES * 1000
        self._rand = rand
        self._fresh: deque[Turn] = deque()
        self._tried: deque[Turn] = deque()
        self._changed = asyncio.Event()
        self._answered = asyncio.Event()
        self._failures = 0 if failing_since_ms is None else _FAILING_AFTER
        self._since_ms = failing_since_ms or 0
        self._unreachable = 0
        self._refused: set[str] = set()
        self._gone = 0
        self._probes = 0
        self._rests_from_mono_s = 0.0
        self._rest_s = 0.0
        self._closed = False
        self.down = False
        """Nothing is posted but a probe now and then."""
        self.paused = False
        """Nothing is posted until somebody resumes it."""
        self.last_failure: Answer | None = None

    @property
    def failing(self) -> bool:
        """Whether the last few posts failed."""
        return self._failures >= _FAILING_AFTER

    @property
    def failing_since_ms(self) -> int | None:
        """When the first event was refused after the last one that was taken (Redis' clock); None while it works."""
        return self._since_ms if self.failing or self.down else None

    @property
    def gone(self) -> bool:
        """Whether the receiver said often enough that it is gone for good."""
        return self._gone >= GONE_MAX

    @property
    def waiting(self) -> int:
        """How many wait for their turn."""
        return len(self._fresh) + len(self._tried)

    @property
    def shut(self) -> bool:
        """Whether only a probe, or nothing at all, is posted."""
        return self.down or self.paused

    async def enter(self, *, fresh: bool) -> None:
        """Wait until a post may be made: at once while the endpoint works, else as a probe; or until closed.

        `fresh` says that the event was not tried yet: such ones are let in first.
        """
        if not self._closed and self.shut:
            turn: Turn = asyncio.get_running_loop().create_future()
            (self._fresh if fresh else self._tried).append(turn)
            self._changed.set()
            await turn

    def note(self, session_id: str, answer: Answer, *, now_ms: int, parked: bool) -> int | None:
        """Learn from an answer to a session, which may be parked already; `now_ms` is Redis' time.

        Returns what `failing_since_ms` was, if the endpoint works again after it had failed.
        """
        self._answered.set()
        self._changed.set()
        if answer.status == 410:
            self._gone += 1
            if self.gone:
                self.paused = True
            return None
        if answer.failure is not None:
            self._failed(session_id, answer, now_ms, parked=parked)
            return None
        return self._taken()

    def _taken(self) -> int | None:
        failing_since_ms = self.failing_since_ms
        if failing_since_ms is not None:
            log.info("webhook receiver works again", **self._names, failures=self._failures)
        self._failures = self._unreachable = self._gone = self._probes = 0
        self._refused.clear()
        if self.down:
            self.down = False
            self._open()
        return failing_since_ms

    def _failed(self, session_id: str, answer: Answer, now_ms: int, *, parked: bool) -> None:
        self.last_failure = answer
        if self._failures == 0:
            self._since_ms = now_ms
        self._failures += 1
        self._unreachable = self._unreachable + 1 if answer.unreachable else 0
        if not parked and len(self._refused) < _DOWN_AFTER_SESSIONS:
            self._refused.add(session_id)
        if self._failures == _FAILING_AFTER:
            log.warning("webhook receiver fails", **self._names, error=answer.failure)
        long_enough = now_ms - self._since_ms >= self._down_after_ms
        refuses_all = long_enough and len(self._refused) >= _DOWN_AFTER_SESSIONS
        if not self.down and (self._unreachable >= _FAILING_AFTER or refuses_all):
            self.down = True
            self._rest()

    def pause(self) -> None:
        """Let nobody post."""
        self.paused = True

    def resume(self) -> None:
        """End a pause."""
        if self.paused:
            self.paused = False
            self._gone = 0
            if not self.down:
                self._open()
            self._changed.set()

    def close(self) -> None:
        """Let everybody go on, who must look whether to stop."""
        self._closed = True
        self._open()

    async def run(self, stop: asyncio.Event) -> None:
        """While the endpoint is down, let one after another of those that wait make a probe."""
        while not stop.is_set():
            self._changed.clear()
            left_s = self._rest_left_s()
            if left_s is None:
                await first_done(self._changed.wait(), stop.wait())
            elif left_s > 0:
                await first_done(self._changed.wait(), sleep_or_stop(left_s, stop))
            else:
                await self._probe(stop)

    def _rest(self) -> None:
        """Begin the pause before the next probe."""
        self._rests_from_mono_s = mono_s()
        self._rest_s = pause_s(self.last_failure or _UNKNOWN, self._probes + 1, self._rand, self._schedule)

    def _rest_left_s(self) -> float | None:
        """Return how long to wait before the next probe; None when there is none to make."""
        if not self.down or self.paused or not self.waiting:
            return None
        answered = self.last_failure is not None and not self.last_failure.unreachable
        asked_to_wait = self.last_failure is not None and self.last_failure.retry_after_s
        rest_s = self._rest_s
        if self._fresh and answered and not asked_to_wait:
            rest_s = min(rest_s, _FRESH_CAP_S)
        return self._rests_from_mono_s + rest_s - mono_s()

    async def _probe(self, stop: asyncio.Event) -> None:
        turns = self._fresh or self._tried
        turn = turns.popleft()
        if not turn.done():
            self._probes += 1
            self._answered.clear()
            turn.set_result(None)
            # Until the answer is there: a receiver that hangs gets one probe at a time.
            await first_done(self._answered.wait(), stop.wait())
            self._rest()

    def _open(self) -> None:
        self._changed.set()
        for turns in (self._fresh, self._tried):
            while turns:
                turn = turns.popleft()
                if not turn.done():
                    turn.set_result(None)


_UNKNOWN = Answer(status=0, failure="unknown")
