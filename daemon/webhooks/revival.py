"""Working parked sessions: some at a time, each in its own order, until its queue is empty.

Those that were refused are tried when they are due, a few at a time, as they may hang. Those that are only behind, or
are taken again, are worked at full speed, and take turns when there are many.
"""

import asyncio
from functools import partial
from typing import TYPE_CHECKING

import structlog

from daemon.core.errors import UnavailableError
from daemon.core.loops import run_every
from daemon.registry.outbox import Waiting
from daemon.registry.parked import UNTRIED, Tries
from daemon.webhooks.endpoint import PARALLEL_POSTS
from daemon.webhooks.schedule import Answer, Verdict

if TYPE_CHECKING:
    from daemon.webhooks.delivery import Delivery

log = structlog.get_logger()

_PARALLEL_REFUSED = 4
"""Of the posts of an endpoint: sessions that hang must leave room for those that do not."""
_PARALLEL_BEHIND = PARALLEL_POSTS - _PARALLEL_REFUSED
_HEAD = 20
_LOOK_AT = 50
_LAST_POSTS_S = 5.0
_ANY_TIME_MS = 1 << 52
_CLOCK_LEAPS_MS = 100
"""How much Redis' time may go back when it is asked for again."""


class Revival:
    """Works the queues of one endpoint's parked sessions."""

    def __init__(self, delivery: "Delivery", *, look_s: float) -> None:
        self._delivery = delivery
        self._name = delivery.config.name
        self._look_s = look_s
        self._workers: dict[str, asyncio.Task[None]] = {}
        self._refused: set[str] = set()
        self._held: dict[str, int] = {}
        self._look_again = asyncio.Event()
        self._failed_since_ms: int | None = None

    @property
    def held(self) -> int:
        """How many events of queues are in memory."""
        return sum(self._held.values())

    def works_on(self, session_id: str) -> bool:
        """Whether the session's queue is being worked now."""
        return session_id in self._workers

    def hurry(self, failed_since_ms: int) -> None:
        """Try those soon that were refused only since the endpoint failed, because it works again.

        The others were refused while it worked: to hurry them as well would end their pauses at each such time.
        """
        self._failed_since_ms = min(failed_since_ms, self._failed_since_ms or failed_since_ms)

    async def run(self, stop: asyncio.Event) -> None:
        """Look for due sessions until `stop` is set; then let posts in flight end for a few seconds."""
        async with asyncio.TaskGroup() as tasks:
            await run_every(
                self._look_s,
                lambda: self._look(tasks, stop),
                name=f"parked sessions {self._name}",
                stop=stop,
                wake=self._look_again,
            )
            if self._workers:
                _, late = await asyncio.wait(set(self._workers.values()), timeout=_LAST_POSTS_S)
                for worker in late:
                    worker.cancel()

    async def settle(self, session_id: str, waiting: Waiting, answer: Answer, verdict: Verdict, tries: Tries) -> bool:
        """Do with the first event of a queue what its answer says; False when nothing more is to be posted now."""
        parked = self._delivery.parked
        if verdict is Verdict.TAKEN:
            left = await parked.delivered(self._name, session_id, waiting.entry_id)
        elif verdict is Verdict.DEAD:
            reason = f"given up after {tries.count} tries: {answer.failure}"
            left = await parked.bury(self._name, session_id, waiting, reason=reason, tries=tries.count)
            self._delivery.say_buried(waiting, reason)
        else:
            due_ms = await self._delivery.outbox.now_ms() + round(self._delivery.pause_s(answer, tries) * 1000)
            await parked.postpone(self._name, session_id, due_ms=due_ms, tries=tries)
            return False
        if left:
            log.info("webhook session not parked any more", endpoint=self._name, session_id=session_id)
        return not left

    async def _look(self, tasks: asyncio.TaskGroup, stop: asyncio.Event) -> None:
        gate, parked = self._delivery.gate, self._delivery.parked
        now_ms = await self._delivery.outbox.now_ms()
        await self._hurry(now_ms)
        if gate.paused:
            return
        if gate.down:
            # Those that wait in memory find out whether it is back; if there are none, somebody parked must.
            if not gate.waiting and not self._workers:
                anybody = await parked.behind(self._name, 1) or await parked.due(self._name, _ANY_TIME_MS, 1)
                for session_id in anybody:
                    self._begin(session_id, tasks, stop, refused=True)
            return
        if self._has_place(refused=False):
            for session_id in await parked.behind(self._name, _LOOK_AT):
                if self._has_place(refused=False):
                    self._begin(session_id, tasks, stop, refused=False)
        if self._has_place(refused=True):
            for session_id in await parked.due(self._name, now_ms, _LOOK_AT):
                if self._has_place(refused=True):
                    self._begin(session_id, tasks, stop, refused=True)

    @property
    def _behind(self) -> int:
        """How many sessions are worked that are not refused, or not any more."""
        return len(self._workers) - len(self._refused)

    def _has_place(self, *, refused: bool) -> bool:
        if len(self._workers) >= PARALLEL_POSTS:
            return False
        return len(self._refused) < _PARALLEL_REFUSED if refused else self._behind < _PARALLEL_BEHIND

    async def _hurry(self, now_ms: int) -> None:
        since_ms, self._failed_since_ms = self._failed_since_ms, None
        if since_ms is None:
            return
        try:
            await self._delivery.parked.hurry(self._name, now_ms, since_ms=since_ms - _CLOCK_LEAPS_MS)
        except UnavailableError:
            self.hurry(since_ms)
            raise

    def _begin(self, session_id: str, tasks: asyncio.TaskGroup, stop: asyncio.Event, *, refused: bool) -> None:
        if self.works_on(session_id) or self._delivery.has_lane(session_id) or stop.is_set():
            return
        if refused:
            self._refused.add(session_id)
        worker = self._workers[session_id] = tasks.create_task(self._work(session_id, stop))
        worker.add_done_callback(partial(self._ended, session_id))

    def _ended(self, session_id: str, _: "asyncio.Task[None]") -> None:
        del self._workers[session_id]
        self._refused.discard(session_id)
        self._held.pop(session_id, None)

    async def _work(self, session_id: str, stop: asyncio.Event) -> None:
        parked = self._delivery.parked
        try:
            tries = await parked.tries(self._name, session_id)
            while not stop.is_set() and await self._work_head(session_id, tries):
                tries = UNTRIED
                if self._behind >= _PARALLEL_BEHIND:
                    await parked.put_last(self._name, session_id)
                    break
            self._look_again.set()
        except UnavailableError as error:
            log.warning("parked session not worked", endpoint=self._name, session_id=session_id, code=error.code)

    async def _work_head(self, session_id: str, tries: Tries) -> bool:
        """Work the first events of a queue; False when nothing more is to be posted now."""
        parked = self._delivery.parked
        head = await parked.head(self._name, session_id, _HEAD)
        if not head:
            return not await parked.delivered(self._name, session_id)
        for at, waiting in enumerate(head):
            self._held[session_id] = len(head) - at
            refused = session_id in self._refused
            attempted = await self._delivery.attempt(session_id, waiting, tries, parked=refused)
            if attempted is None or not await self.settle(session_id, waiting, *attempted):
                return False
            tries = UNTRIED
            if refused:
                # It gives its place to the next refused one, and takes one of those that are behind, if one is free.
                self._refused.discard(session_id)
                self._look_again.set()
                if self._behind > _PARALLEL_BEHIND:
                    return True
        return True
