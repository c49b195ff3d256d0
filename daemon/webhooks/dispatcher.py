"""Delivering events: one order per session, at least once, a bounded number in memory.

Each session with waiting events has a lane, worked by one task. A delivery that fails is tried again in its place, so
later events of that session wait and other sessions do not. An event leaves the stream only after a 2xx answer or
into the dead letters. Nothing else in the house waits for the receiver.
"""

import asyncio
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from daemon.core.clock import mono_s
from daemon.core.errors import UnavailableError
from daemon.core.loops import first_done, run_every, sleep_or_stop
from daemon.core.sections import WebhookSettings
from daemon.sessions.events import Event
from daemon.webhooks.endpoint import Endpoint
from daemon.webhooks.intake import Intake
from daemon.webhooks.ports import Stream
from daemon.webhooks.schedule import DEFAULT_SCHEDULE, RetrySchedule, next_delay_s, should_give_up

log = structlog.get_logger()

HELD_MAX = 1000
"""Events in memory at most; the rest waits in Redis."""

_TURN_S = 0.01
_LAST_POSTS_S = 5.0
_ACK_RETRY_S = 1.0


@dataclass(frozen=True, kw_only=True)
class _Held:
    entry_id: str
    event: Event
    since_mono_s: float


class WebhookDispatcher:
    """Delivers the events of all sessions, in one `run`. Only one may run against a stream at a time."""

    def __init__(
        self,
        stream: Stream,
        settings: WebhookSettings,
        consumer: str,
        *,
        schedule: RetrySchedule = DEFAULT_SCHEDULE,
        held_max: int = HELD_MAX,
        rand: Callable[[], float] = random.random,
    ) -> None:
        self._stream = stream
        self._settings = settings
        self._schedule = schedule
        self._rand = rand
        self._held_max = held_max
        self._intake = Intake(stream, consumer, held_max=held_max)
        self._held: set[str] = set()
        self._lanes: dict[str, deque[_Held]] = {}
        self._workers: set[asyncio.Task[None]] = set()
        self._room = asyncio.Event()

    async def run(self, stop: asyncio.Event) -> None:
        """Deliver until `stop` is set; then let posts in flight end for a few seconds and leave the rest in the stream.

        Without an address events are taken and dropped, so that the stream does not grow.
        """
        if self._settings.url is None:
            await run_every(_TURN_S, self._drop, name="webhooks", stop=stop)
            return
        async with Endpoint(self._settings.url, self._settings) as endpoint, asyncio.TaskGroup() as tasks:
            await run_every(_TURN_S, lambda: self._fill(tasks, endpoint, stop), name="webhooks", stop=stop)
            endpoint.close()
            await self._finish()

    async def _drop(self) -> None:
        taken = await self._intake.next(())
        await self._stream.done([entry_id for entry_id, _ in taken])

    async def _fill(self, tasks: asyncio.TaskGroup, endpoint: Endpoint, stop: asyncio.Event) -> None:
        """Take what there is room for and put it into the lanes."""
        if len(self._held) >= self._held_max:
            self._room.clear()
            await first_done(self._room.wait(), stop.wait())
            return
        for entry_id, event in await self._intake.next(self._held):
            self._held.add(entry_id)
            lane = self._lanes.get(event.session_id)
            held = _Held(entry_id=entry_id, event=event, since_mono_s=mono_s())
            if lane is not None:
                lane.append(held)
                continue
            lane = self._lanes[event.session_id] = deque([held])
            worker = tasks.create_task(self._work(event.session_id, lane, endpoint, stop))
            self._workers.add(worker)
            worker.add_done_callback(self._workers.discard)

    async def _work(self, session_id: str, lane: deque[_Held], endpoint: Endpoint, stop: asyncio.Event) -> None:
        """Deliver one session's events in order until none waits."""
        while lane and not stop.is_set():
            failure = await self._deliver(lane[0], endpoint, stop)
            if stop.is_set() and failure is not None:
                return
            if not await self._settle(lane[0], failure, stop):
                return
            self._held.discard(lane.popleft().entry_id)
            self._room.set()
        if not lane:
            del self._lanes[session_id]

    async def _deliver(self, held: _Held, endpoint: Endpoint, stop: asyncio.Event) -> str | None:
        """Post until it is taken (None), or given up or stopped (why)."""
        attempt = 0
        while True:
            attempt += 1
            failure = await endpoint.post(held.event)
            if failure is None or stop.is_set():
                return failure
            if should_give_up(held.since_mono_s, mono_s(), self._settings.retry_for_ms / 1000):
                return f"given up after {attempt} tries: {failure}"
            await endpoint.pause(next_delay_s(attempt, self._rand, self._schedule))
            if stop.is_set():
                return failure

    async def _settle(self, held: _Held, failure: str | None, stop: asyncio.Event) -> bool:
        """Take the event out of the stream, waiting for Redis if need be; False when stopped before it could be done.

        A delivered event whose acknowledgement is lost is delivered again after a restart, with the same id.
        """
        while True:
            try:
                if failure is None:
                    await self._stream.done([held.entry_id])
                else:
                    await self._stream.bury(held.entry_id, held.event, failure)
                    log.warning(
                        "webhook event buried",
                        event_id=held.event.event_id,
                        event_kind=held.event.kind.value,
                        session_id=held.event.session_id,
                        error=failure,
                    )
                return True
            except UnavailableError:
                if await sleep_or_stop(_ACK_RETRY_S, stop):
                    return False

    async def _finish(self) -> None:
        if not self._workers:
            return
        _, late = await asyncio.wait(set(self._workers), timeout=_LAST_POSTS_S)
        for worker in late:
            worker.cancel()
        if self._held:
            log.info("webhook events left for the next start", events=len(self._held), cut_off=len(late))
