"""An open loop: requests begin when they are due, however long those before them take.

Each is timed from when it was due, so a server that stops for a second is charged with all the requests that had to
wait, not only with the one that it was at. Nothing here knows what is asked.
"""

import asyncio
import random
import time
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

_LATE_S = 30.0
"""What could not begin this long after the last one was due is given up."""
_END_S = 5.0
"""What is under way at a stop may end within this time."""


@dataclass(frozen=True, kw_only=True)
class Due:
    """A request that is to be made. `number` counts those of its kind, from 0."""

    at_s: float
    kind: str
    number: int


@dataclass(frozen=True, kw_only=True)
class Answered:
    """What became of a request. Seconds since the beginning."""

    kind: str
    due_s: float
    sent_s: float
    done_s: float
    code: str
    """A stable code of what went wrong; empty if nothing did."""

    @property
    def latency_ms(self) -> float:
        """How long somebody had to wait who wanted it when it was due."""
        return (self.done_s - self.due_s) * 1000

    @property
    def late_ms(self) -> float:
        """How much later than due it was sent, because the sender or all its connections were busy."""
        return (self.sent_s - self.due_s) * 1000


def plan_requests(mix: Mapping[str, float], *, rate: float, duration_s: float, chance: random.Random) -> list[Due]:
    """Return requests at even distances, in the shares that `mix` has, in an order that `chance` gives."""
    count = max(1, round(rate * duration_s))
    kinds = _deal(mix, count)
    chance.shuffle(kinds)
    seen: Counter[str] = Counter()
    plan = []
    for index, kind in enumerate(kinds):
        plan.append(Due(at_s=index / rate, kind=kind, number=seen[kind]))
        seen[kind] += 1
    return plan


def _deal(mix: Mapping[str, float], count: int) -> list[str]:
    """Return `count` kinds, as near to their shares as whole numbers allow."""
    whole = sum(mix.values())
    exact = {kind: weight / whole * count for kind, weight in mix.items()}
    dealt = {kind: int(number) for kind, number in exact.items()}
    missing = count - sum(dealt.values())
    for kind in sorted(exact, key=lambda kind: dealt[kind] - exact[kind])[:missing]:
        dealt[kind] += 1
    return [kind for kind, number in dealt.items() for _ in range(number)]


class ErrorLimit:
    """Says when too many of the last answers were errors."""

    def __init__(self, share: float, *, window: int = 50, least: int = 20) -> None:
        self.share = share
        self._least = least
        self._last: deque[bool] = deque(maxlen=window)

    def add(self, *, failed: bool) -> None:
        """Note an answer."""
        self._last.append(failed)

    def passed(self, *, at_end: bool = False) -> bool:
        """Whether the limit is passed; before the end only once there are enough answers to tell."""
        if len(self._last) < (1 if at_end else self._least):
            return False
        return sum(self._last) / len(self._last) > self.share

    def text(self) -> str:
        """Say what was found."""
        return f"{sum(self._last)} of the last {len(self._last)} requests failed, more than {self.share:.0%}"


class OpenLoop:
    """Makes the requests of one plan. `answers` is what became of those that were made."""

    def __init__(self, ask: Callable[[Due], Awaitable[str]], limit: ErrorLimit, *, at_once: int) -> None:
        self._ask = ask
        self._limit = limit
        self._slots = asyncio.Semaphore(at_once)
        self._enough = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._began_s = 0.0
        self.answers: list[Answered] = []
        self.stopped = False
        """Whether the limit of errors ended it."""

    @property
    def lasted_s(self) -> float:
        """From the beginning to the last answer."""
        return max((answer.done_s for answer in self.answers), default=0.0)

    async def run(self, plan: Sequence[Due], *, timeout_s: float) -> None:
        """Make the requests; return when all have been answered, or had `timeout_s` for it, or the limit was passed.

        When it is cancelled, what is under way has a moment to end, so that nothing is made that nobody knows of.
        """
        self._began_s = time.perf_counter()
        wait_s = _END_S
        try:
            await self._begin_all(plan)
            wait_s = _END_S if self._enough.is_set() else timeout_s
        finally:
            await self._end(wait_s)
        self.stopped = self._limit.passed(at_end=True)

    async def _begin_all(self, plan: Sequence[Due]) -> None:
        give_up_s = plan[-1].at_s + _LATE_S
        for due in plan:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._enough.wait(), max(0.0, due.at_s - self._now_s()))
            if self._enough.is_set() or not await self._slot(until_s=give_up_s):
                return
            self._begin(due)

    async def _slot(self, *, until_s: float) -> bool:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._slots.acquire(), max(0.001, until_s - self._now_s()))
            return True
        return False

    def _begin(self, due: Due) -> None:
        task = asyncio.create_task(self._one(due))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _one(self, due: Due) -> None:
        sent_s = self._now_s()
        try:
            code = await self._ask(due)
        finally:
            self._slots.release()
        self.answers.append(Answered(kind=due.kind, due_s=due.at_s, sent_s=sent_s, done_s=self._now_s(), code=code))
        self._limit.add(failed=bool(code))
        if self._limit.passed():
            self._enough.set()

    async def _end(self, wait_s: float) -> None:
        if not self._tasks:
            return
        _, left = await asyncio.wait(self._tasks, timeout=wait_s)
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    def _now_s(self) -> float:
        return time.perf_counter() - self._began_s
