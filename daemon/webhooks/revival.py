"""Trying parked sessions again: a few at a time, each in its own order, until its queue is empty."""

import asyncio
from functools import partial
from typing import TYPE_CHECKING

import structlog

from daemon.core.errors import UnavailableError
from daemon.core.loops import run_every
from daemon.registry.outbox import Waiting
from daemon.registry.parked import Tries
from daemon.webhooks.schedule import Verdict

if TYPE_CHECKING:
    from daemon.webhooks.delivery import Delivery

log = structlog.get_logger()

_PARALLEL = 4
"""Of the posts of an endpoint: sessions that hang must leave room for those that do not."""
_HEAD = 20
_LOOK_AT = 50
_LAST_POSTS_S = 5.0
_ANY_TIME_MS = 1 << 52


class Revival:
    """Works the queues of one endpoint's parked sessions."""

    def __init__(self, delivery: "Delivery", *, look_s: float) -> None:
        self._delivery = delivery
        self._name = delivery.config.name
        self._look_s = look_s
        self._workers: dict[str, asyncio.Task[None]] = {}
        self._hurry = False

    def works_on(self, session_id: str) -> bool:
        """Whether the session's queue is being worked now."""
        return session_id in self._workers

    def hurry(self) -> None:
        """Try all of them soon: the endpoint works again."""
        self._hurry = True

    async def run(self, stop: asyncio.Event) -> None:
        """Look for due sessions until `stop` is set; then let posts in flight end for a few seconds."""
        async with asyncio.TaskGroup() as tasks:
            await run_every(
                self._look_s, lambda: self._look(tasks, stop), name=f"parked sessions {self._name}", stop=stop
            )
            if self._workers:
                _, late = await asyncio.wait(set(self._workers.values()), timeout=_LAST_POSTS_S)
                for worker in late:
                    worker.cancel()

    async def _look(self, tasks: asyncio.TaskGroup, stop: asyncio.Event) -> None:
        gate, parked = self._delivery.gate, self._delivery.parked
        now_ms = await self._delivery.outbox.now_ms()
        if self._hurry:
            self._hurry = False
            await parked.hurry(self._name, now_ms)
        if gate.paused or len(self._workers) >= _PARALLEL:
            return
        if gate.down:
            # Those that wait in memory find out whether it is back; if there are none, somebody parked must.
            if gate.waiting or self._workers:
                return
            due = (await parked.due(self._name, _ANY_TIME_MS, _LOOK_AT))[:1]
        else:
            due = await parked.due(self._name, now_ms, _LOOK_AT)
        for session_id in due:
            free = len(self._workers) < _PARALLEL and not self.works_on(session_id)
            if free and not self._delivery.has_lane(session_id) and not stop.is_set():
                worker = tasks.create_task(self._work(session_id, stop))
                self._workers[session_id] = worker
                worker.add_done_callback(partial(self._ended, session_id))

    def _ended(self, session_id: str, _: "asyncio.Task[None]") -> None:
        del self._workers[session_id]

    async def _work(self, session_id: str, stop: asyncio.Event) -> None:
        parked = self._delivery.parked
        try:
            tries = await parked.tries(self._name, session_id)
            while not stop.is_set():
                head = await parked.head(self._name, session_id, _HEAD)
                if not head and await parked.delivered(self._name, session_id):
                    return
                for waiting in head:
                    if not await self._settle(session_id, waiting, tries):
                        return
                    tries = Tries()
        except UnavailableError as error:
            log.warning("parked session not worked", endpoint=self._name, session_id=session_id, code=error.code)

    async def _settle(self, session_id: str, waiting: Waiting, tries: Tries) -> bool:
        """Post the first event of a queue once; False when it stays."""
        attempted = await self._delivery.attempt(session_id, waiting, tries)
        if attempted is None:
            return False
        answer, verdict, tries = attempted
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
