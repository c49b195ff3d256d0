"""Whether an endpoint works as a whole: who may post now, while it works, fails, is down, or is paused.

A session that is refused is that session's trouble, until several sessions in a row are, or no connection comes about
at all: then the endpoint is down, and one event at a time, of another session each time, finds out whether it is back.
"""

import asyncio
from collections import deque
from collections.abc import Callable

import structlog

from daemon.core.loops import first_done, sleep_or_stop
from daemon.webhooks.schedule import Answer, RetrySchedule, pause_s

log = structlog.get_logger()

GONE_MAX = 20
"""So many events in a row answered with 410 pause the endpoint."""

_FAILING_AFTER = 3
_DOWN_AFTER_SESSIONS = 5
_PROBE_CAP_S = 30.0


class Gate:
    """The state of one endpoint. Whoever posts calls `enter` before and `note` after it."""

    def __init__(self, endpoint: str, host: str, *, schedule: RetrySchedule, rand: Callable[[], float]) -> None:
        self._names = {"endpoint": endpoint, "host": host}
        self._schedule = RetrySchedule(first_s=schedule.first_s, cap_s=min(schedule.cap_s, _PROBE_CAP_S))
        self._rand = rand
        self._turns: deque[asyncio.Future[None]] = deque()
        self._changed = asyncio.Event()
        self._failures = 0
        self._unreachable = 0
        self._refused: set[str] = set()
        self._gone = 0
        self._probes = 0
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
    def gone(self) -> bool:
        """Whether the receiver said often enough that it is gone for good."""
        return self._gone >= GONE_MAX

    @property
    def waiting(self) -> int:
        """How many wait for their turn."""
        return len(self._turns)

    async def enter(self) -> None:
        """Wait until a post may be made: at once while the endpoint works, else as a probe; or until closed."""
        if not self._closed and (self.down or self.paused):
            turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._turns.append(turn)
            await turn

    def note(self, session_id: str, answer: Answer) -> bool:
        """Learn from an answer; return whether the endpoint works again after it had failed."""
        if answer.status == 410:
            self._gone += 1
            if self.gone:
                self.paused = True
            self._changed.set()
            return False
        if answer.failure is not None:
            self._failed(session_id, answer)
            return False
        recovered = self.failing or self.down
        if recovered:
            log.info("webhook receiver works again", **self._names, failures=self._failures)
        self._failures = self._unreachable = self._gone = self._probes = 0
        self._refused.clear()
        if self.down:
            self.down = False
            self._open()
        return recovered

    def _failed(self, session_id: str, answer: Answer) -> None:
        self.last_failure = answer
        self._failures += 1
        self._unreachable = self._unreachable + 1 if answer.unreachable else 0
        if len(self._refused) < _DOWN_AFTER_SESSIONS:
            self._refused.add(session_id)
        if self._failures == _FAILING_AFTER:
            log.warning("webhook receiver fails", **self._names, error=answer.failure)
        if len(self._refused) >= _DOWN_AFTER_SESSIONS or self._unreachable >= _FAILING_AFTER:
            self.down = True
        self._changed.set()

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
            if not self.down or self.paused:
                await first_done(self._changed.wait(), stop.wait())
                continue
            delay_s = pause_s(self.last_failure or _UNKNOWN, self._probes + 1, self._rand, self._schedule)
            stopped = await sleep_or_stop(delay_s, stop)
            if self.down and not self.paused and not stopped:
                await self._probe(stop)

    async def _probe(self, stop: asyncio.Event) -> None:
        while self._turns:
            turn = self._turns.popleft()
            if not turn.done():
                self._probes += 1
                self._changed.clear()
                turn.set_result(None)
                # Until the answer is there: a receiver that hangs gets one probe at a time.
                await first_done(self._changed.wait(), stop.wait())
                return

    def _open(self) -> None:
        self._changed.set()
        while self._turns:
            turn = self._turns.popleft()
            if not turn.done():
                turn.set_result(None)


_UNKNOWN = Answer(status=0, failure="unknown")
