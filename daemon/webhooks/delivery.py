"""Delivering to one endpoint: one order per session, at least once, a bounded number of events in memory.

What is taken from the endpoint's group goes into `lanes`, which deliver from memory, or to the session's own queue in
Redis if it is parked, which `revival` works: a session is worked by either, never by both. While the endpoint as a
whole is down little more is taken. An event leaves the group after a 2xx, into a queue, or into the dead letters.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence

import structlog

from daemon.core.errors import UnavailableError
from daemon.core.loops import first_done, run_every, sleep_or_stop
from daemon.registry.outbox import Outbox, Waiting
from daemon.registry.parked import Parked, Tries
from daemon.webhooks.configured import EndpointConfig
from daemon.webhooks.endpoint import Endpoint
from daemon.webhooks.gate import Gate
from daemon.webhooks.intake import Intake
from daemon.webhooks.lanes import NO_ROOM, Lanes
from daemon.webhooks.revival import Revival
from daemon.webhooks.schedule import DEFAULT_SCHEDULE, Answer, RetrySchedule, Verdict, judge, pause_s

log = structlog.get_logger()

HELD_MAX = 1000
"""Events of one endpoint in memory at most; the rest waits in Redis."""

_HELD_WHEN_DOWN = 100
_ROOM = 100
_TURN_S = 0.005
_WAIT_S = 0.5
_WAIT_FOR_ROOM_S = 0.05


class Delivery:
    """Delivers to one endpoint, in one `run`. Only one may run for an endpoint at a time, in the whole installation."""

    def __init__(
        self,
        outbox: Outbox,
        parked: Parked,
        config: EndpointConfig,
        *,
        timeout_s: float,
        retry_for_s: float,
        join: Callable[[], Awaitable[None]],
        schedule: RetrySchedule = DEFAULT_SCHEDULE,
        held_max: int = HELD_MAX,
        rand: Callable[[], float] = random.random,
        failing_since_ms: int | None = None,
    ) -> None:
        """`failing_since_ms` says since when it has failed for the leader before this one; None: it worked."""
        self.config = config
        self.gate = Gate(config.name, config.host, schedule=schedule, rand=rand, failing_since_ms=failing_since_ms)
        self._name = config.name
        self._outbox = outbox
        self._parked = parked
        self._retry_for_s = retry_for_s
        self._schedule = schedule
        self._rand = rand
        self._held_max = held_max
        self._endpoint = Endpoint(config, timeout_s=timeout_s)
        self._intake = Intake(outbox, config.name, held_max=held_max, join=join)
        self._room = asyncio.Event()
        self._left_over: list[Waiting] = []
        """In memory because their session's queue, which they must not pass, has no room. In order for each session."""
        self._stop = asyncio.Event()
        self.revival = Revival(self, look_s=min(0.25, schedule.first_s))
        self._lanes = Lanes(self, outbox, parked, self._room)
        self.pause_noted = False
        """Whether it is known in Redis that the endpoint is paused."""

    @property
    def held(self) -> int:
        """How many events are in memory."""
        return len(self._lanes.held) + self.revival.held

    async def run(self, stop: asyncio.Event) -> None:
        """Deliver until `stop` is set; then let posts in flight end for a few seconds and leave the rest in Redis."""
        self._stop = stop
        ended = asyncio.Event()
        async with self._endpoint, asyncio.TaskGroup() as tasks:
            tasks.create_task(self._lanes.run_acks(ended))
            tasks.create_task(self.gate.run(stop))
            reviving = tasks.create_task(self.revival.run(stop))
            await run_every(_TURN_S, lambda: self._fill(tasks), name=f"webhooks {self._name}", stop=stop)
            self._endpoint.close()
            self.gate.close()
            await reviving
            await self._lanes.finish()
            ended.set()

    async def attempt(
        self, session_id: str, waiting: Waiting, tries: Tries, *, parked: bool = False
    ) -> tuple[Answer, Verdict, Tries] | None:
        """Post an event once, when its endpoint may be posted to; None when it was not, because of a stop.

        `parked` says that its session is, because it was refused.
        """
        await self.gate.enter(fresh=tries.count == 0)
        if self._stop.is_set():
            return None
        answer = await self._endpoint.post(waiting.event)
        if answer is None:
            return None
        # Known since before this delivery began, so that no probe's answer goes unnoted.
        now_ms = await self._outbox.now_ms()
        failed_since_ms = self.gate.note(session_id, answer, now_ms=now_ms, parked=parked)
        if failed_since_ms is not None:
            self.revival.hurry(failed_since_ms)
        tries = Tries(count=tries.count + 1, since_ms=tries.since_ms or now_ms)
        verdict = judge(
            answer,
            told_ago_s=(now_ms - waiting.told_ms) / 1000,
            failing_for_s=(now_ms - tries.since_ms) / 1000,
            retry_for_s=self._retry_for_s,
        )
        return answer, verdict, tries

    def pause_s(self, answer: Answer, tries: Tries) -> float:
        """Return the pause before the next try."""
        return pause_s(answer, tries.count, self._rand, self._schedule)

    @property
    def parked(self) -> Parked:
        """The queues of the parked sessions."""
        return self._parked

    @property
    def outbox(self) -> Outbox:
        """The groups of the endpoints."""
        return self._outbox

    def has_lane(self, session_id: str) -> bool:
        """Whether events of the session are being delivered from memory."""
        return self._lanes.has(session_id)

    def say_buried(self, waiting: Waiting, reason: str) -> None:
        """Log that an event went to the dead letters."""
        log.warning(
            "webhook event buried",
            endpoint=self._name,
            event_id=waiting.event.event_id,
            event_kind=waiting.event.kind.value,
            session_id=waiting.event.session_id,
            error=reason,
        )

    async def _fill(self, tasks: asyncio.TaskGroup) -> None:
        """Take what there is room for and put it into the lanes, or to what is parked already."""
        held = self._lanes.held
        if self._left_over:
            await self._place([], tasks)
        wait_s = _WAIT_FOR_ROOM_S if self._left_over else _WAIT_S
        most = min(self._held_max, _HELD_WHEN_DOWN) if self.gate.down else self._held_max
        # Some room, so that one call to Redis takes more than one event.
        if self.gate.paused or len(held) > most - max(1, min(_ROOM, most // 4)):
            self._room.clear()
            await first_done(self._room.wait(), sleep_or_stop(wait_s, self._stop))
            return
        taken = await self._intake.next(held, most - len(held), wait_ms=round(wait_s * 1000))
        if taken:
            await self._place(taken, tasks)

    async def _place(self, taken: Sequence[Waiting], tasks: asyncio.TaskGroup) -> None:
        """Put what was left over and what is taken into lanes and queues."""
        try:
            unwanted = [one.entry_id for one in taken if not self.config.wants(one.event)]
            await self._outbox.done(self._name, unwanted)
            wanted = self._left_over + [one for one in taken if self.config.wants(one.event)]
            parked = await self._parked_among(wanted)
            self._left_over = [one for one in wanted if one.event.session_id in parked]
            self._lanes.hold(self._left_over)
            unparked = [one for one in wanted if one.event.session_id not in parked]
            self._left_over += await self._lanes.put(unparked, tasks, self._stop)
            room = await self._parked.room(self._name) if parked else 0
            for session_id in parked:
                room -= await self._add_to_parked(session_id, room)
        except UnavailableError:
            # Some may have left the group all the same: what is in it still is found again, in order.
            self._lanes.let_go(self._left_over)
            self._left_over.clear()
            self._intake.look_back()
            raise

    async def _parked_among(self, wanted: Sequence[Waiting]) -> set[str]:
        sessions = {one.event.session_id for one in wanted}
        while True:
            # Of a session with a lane nothing may pass what is in the lane, and the lane itself parks if need be.
            asked = {session_id for session_id in sessions if not self._lanes.has(session_id)}
            handed_over, before = self._lanes.handed_over(sessions), self._lanes.parkings
            parked = await self._parked.which(self._name, sorted(asked))
            if before == self._lanes.parkings:
                reviving = {session_id for session_id in sessions if self.revival.works_on(session_id)}
                return parked | handed_over | reviving

    async def _add_to_parked(self, session_id: str, room: int) -> int:
        """Move what is left over of a session to its queue, return how many; the rest is buried if it is refused."""
        events = [one for one in self._left_over if one.event.session_id == session_id]
        moved = gone = await self._parked.park(self._name, session_id, events[:room], due_ms=None)
        if moved < len(events) and (await self._parked.tries(self._name, session_id)).count:
            for waiting in events[moved:]:
                await self._outbox.bury(self._name, waiting, reason=NO_ROOM, tries=0)
                self.say_buried(waiting, NO_ROOM)
            gone = len(events)
        self._lanes.let_go(events[:gone])
        settled = {one.entry_id for one in events[:gone]}
        self._left_over = [one for one in self._left_over if one.entry_id not in settled]
        return moved
