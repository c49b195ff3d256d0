"""Delivering to one endpoint: one order per session, at least once, a bounded number of events in memory.

Each session with waiting events has a lane, worked by one task. A session that keeps being refused is parked: its
events move to a queue of its own in Redis, which `revival` works. While the endpoint as a whole is down little more is
taken. An event leaves the endpoint's group after a 2xx answer, into the parking, or into the dead letters.
"""

import asyncio
import random
from collections import deque
from collections.abc import Awaitable, Callable, Sequence

import structlog

from daemon.core.errors import UnavailableError
from daemon.core.loops import first_done, run_every, sleep_or_stop
from daemon.registry.outbox import Outbox, Waiting
from daemon.registry.parked import UNTRIED, Parked, Tries
from daemon.webhooks.acks import Acks
from daemon.webhooks.configured import EndpointConfig
from daemon.webhooks.endpoint import Endpoint
from daemon.webhooks.gate import Gate
from daemon.webhooks.intake import Intake
from daemon.webhooks.revival import Revival
from daemon.webhooks.schedule import DEFAULT_SCHEDULE, Answer, RetrySchedule, Verdict, judge, pause_s

log = structlog.get_logger()

HELD_MAX = 1000
"""Events of one endpoint in memory at most; the rest waits in Redis."""

_HELD_WHEN_DOWN = 100
_ROOM = 100
_QUICK_TRIES = 3
_QUICK_PAUSE_S = 5.0
_TURN_S = 0.005
_LAST_POSTS_S = 5.0
_REDIS_AGAIN_S = 1.0
_NO_ROOM = "the endpoint's parked sessions have no room for more (EVENTS_MAX)"

Lane = deque[Waiting]


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
    ) -> None:
        self.config = config
        self.gate = Gate(config.name, config.host, schedule=schedule, rand=rand)
        self._name = config.name
        self._outbox = outbox
        self._parked = parked
        self._retry_for_s = retry_for_s
        self._schedule = schedule
        self._rand = rand
        self._held_max = held_max
        self._endpoint = Endpoint(config, timeout_s=timeout_s)
        self._intake = Intake(outbox, config.name, held_max=held_max, join=join)
        self._acks = Acks(outbox, config.name, self._let_go)
        self._held: set[str] = set()
        self._lanes: dict[str, Lane] = {}
        self._workers: set[asyncio.Task[None]] = set()
        self._room = asyncio.Event()
        self._stop = asyncio.Event()
        self._parkings = 0
        self.pause_noted = False
        """Whether it is known in Redis that the endpoint is paused."""
        self._revival = Revival(self, look_s=min(0.25, schedule.first_s))

    @property
    def held(self) -> int:
        """How many events of the group are in memory."""
        return len(self._held)

    async def run(self, stop: asyncio.Event) -> None:
        """Deliver until `stop` is set; then let posts in flight end for a few seconds and leave the rest in Redis."""
        self._stop = stop
        ended = asyncio.Event()
        async with self._endpoint, asyncio.TaskGroup() as tasks:
            tasks.create_task(self._acks.run(ended))
            tasks.create_task(self.gate.run(stop))
            reviving = tasks.create_task(self._revival.run(stop))
            await run_every(_TURN_S, lambda: self._fill(tasks), name=f"webhooks {self._name}", stop=stop)
            self._endpoint.close()
            self.gate.close()
            await reviving
            await self._finish()
            ended.set()

    async def attempt(self, session_id: str, waiting: Waiting, tries: Tries) -> tuple[Answer, Verdict, Tries] | None:
        """Post an event once, when its endpoint may be posted to; None when it was not, because of a stop."""
        await self.gate.enter()
        if self._stop.is_set():
            return None
        answer = await self._endpoint.post(waiting.event)
        if answer is None:
            return None
        if self.gate.note(session_id, answer):
            self._revival.hurry()
        now_ms = await self._outbox.now_ms()
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
        return session_id in self._lanes

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

    def _let_go(self, entry_id: str) -> None:
        self._held.discard(entry_id)
        self._room.set()

    async def _fill(self, tasks: asyncio.TaskGroup) -> None:
        """Take what there is room for and put it into the lanes, or to what is parked already."""
        most = min(self._held_max, _HELD_WHEN_DOWN) if self.gate.down else self._held_max
        # Some room, so that one call to Redis takes more than one event.
        if self.gate.paused or len(self._held) > most - max(1, min(_ROOM, most // 4)):
            self._room.clear()
            await first_done(self._room.wait(), sleep_or_stop(0.5, self._stop))
            return
        taken = await self._intake.next(self._held, most - len(self._held))
        try:
            unwanted = [one.entry_id for one in taken if not self.config.wants(one.event)]
            await self._outbox.done(self._name, unwanted)
            wanted = [one for one in taken if self.config.wants(one.event)]
            parked = await self._parked_among(wanted)
            self._put_into_lanes([one for one in wanted if one.event.session_id not in parked], tasks)
            for session_id in parked:
                await self._add_to_parked(session_id, [one for one in wanted if one.event.session_id == session_id])
        except UnavailableError:
            self._intake.look_back()
            raise

    async def _parked_among(self, wanted: Sequence[Waiting]) -> set[str]:
        while True:
            # Of a session with a lane nothing may pass what is in the lane, and the lane itself parks if need be.
            asked = {one.event.session_id for one in wanted if not self.has_lane(one.event.session_id)}
            before = self._parkings
            parked = await self._parked.which(self._name, sorted(asked))
            if before == self._parkings:
                reviving = {session_id for session_id in asked if self._revival.works_on(session_id)}
                return parked | reviving

    def _put_into_lanes(self, wanted: Sequence[Waiting], tasks: asyncio.TaskGroup) -> None:
        for waiting in wanted:
            session_id = waiting.event.session_id
            self._held.add(waiting.entry_id)
            lane = self._lanes.get(session_id)
            if lane is not None:
                lane.append(waiting)
                continue
            lane = self._lanes[session_id] = deque([waiting])
            worker = tasks.create_task(self._work(session_id, lane))
            self._workers.add(worker)
            worker.add_done_callback(self._workers.discard)

    async def _add_to_parked(self, session_id: str, events: Sequence[Waiting]) -> None:
        moved = await self._parked.park(self._name, session_id, events, due_ms=await self._outbox.now_ms())
        for waiting in events[moved:]:
            await self._outbox.bury(self._name, waiting, reason=_NO_ROOM, tries=0)
            self.say_buried(waiting, _NO_ROOM)

    async def _work(self, session_id: str, lane: Lane) -> None:
        """Deliver one session's events in order until none waits, or the session is parked."""
        try:
            while lane and not self._stop.is_set():
                if not await self._settle_first(session_id, lane):
                    break
        finally:
            if not lane:
                del self._lanes[session_id]

    async def _settle_first(self, session_id: str, lane: Lane) -> bool:
        """Bring the first event of a lane out of it; False when stopped before, or when all of it was parked."""
        tries, waiting = UNTRIED, lane[0]
        while not self._stop.is_set():
            try:
                attempted = await self.attempt(session_id, waiting, tries)
            except UnavailableError:  # Redis' time is not known: the answer is lost, the event is posted again
                await sleep_or_stop(_REDIS_AGAIN_S, self._stop)
                continue
            if attempted is None:
                return False
            answer, verdict, tries = attempted
            if verdict is Verdict.TAKEN:
                self._acks.add(lane.popleft().entry_id)
                return True
            if verdict is Verdict.DEAD:
                return await self._bury_first(lane, f"given up after {tries.count} tries: {answer.failure}", tries)
            delay_s = self.pause_s(answer, tries)
            if not answer.unreachable and (tries.count >= _QUICK_TRIES or delay_s > _QUICK_PAUSE_S):
                await self._park(session_id, lane, tries, delay_s)
                return False
            if not self.gate.down:
                await sleep_or_stop(delay_s, self._stop)
        return False

    async def _bury_first(self, lane: Lane, reason: str, tries: Tries) -> bool:
        while True:
            try:
                await self._outbox.bury(self._name, lane[0], reason=reason, tries=tries.count)
                break
            except UnavailableError:
                if await sleep_or_stop(_REDIS_AGAIN_S, self._stop):
                    return False
        self.say_buried(lane[0], reason)
        self._let_go(lane.popleft().entry_id)
        return True

    async def _park(self, session_id: str, lane: Lane, tries: Tries, delay_s: float) -> None:
        """Move a whole lane to the session's own queue; what is taken meanwhile joins the lane and goes with it."""
        log.info("webhook session parked", endpoint=self._name, session_id=session_id, events=len(lane))
        while lane:
            batch = list(lane)
            try:
                due_ms = await self._outbox.now_ms() + round(delay_s * 1000)
                moved = await self._parked.park(self._name, session_id, batch, due_ms=due_ms, tries=tries)
            except UnavailableError:
                if await sleep_or_stop(_REDIS_AGAIN_S, self._stop):
                    return
                continue
            for _ in range(moved):
                self._let_go(lane.popleft().entry_id)
            if moved < len(batch) and not await self._bury_first(lane, _NO_ROOM, tries):
                return
        self._parkings += 1

    async def _finish(self) -> None:
        if not self._workers:
            return
        _, late = await asyncio.wait(set(self._workers), timeout=_LAST_POSTS_S)
        for worker in late:
            worker.cancel()
        if self._lanes:
            events = sum(len(lane) for lane in self._lanes.values())
            log.info("webhook events left for the next start", endpoint=self._name, events=events, cut_off=len(late))
