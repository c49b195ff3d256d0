"""Delivering from memory: a lane of events for each session, worked by one task in order, until it is empty or parked.

A session is parked when it keeps being refused, or when its lane is full: one that tells faster than it is taken must
not fill the memory of all. The whole lane goes, also the event that is being posted, which is settled in the queue
then: what is in Redis' queue is always older than what waits in the group, whoever dies when.
"""

import asyncio
from collections import deque
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import structlog

from daemon.core.errors import UnavailableError
from daemon.core.loops import sleep_or_stop
from daemon.registry.outbox import Outbox, Waiting
from daemon.registry.parked import UNTRIED, Parked, Tries
from daemon.webhooks.acks import Acks
from daemon.webhooks.schedule import Answer, Verdict

if TYPE_CHECKING:
    from daemon.webhooks.delivery import Delivery

log = structlog.get_logger()

LANE_MAX = 50
"""Events of one session in memory, beside those that were read with the one that was too many."""
NO_ROOM = "the endpoint's parked sessions have no room for more (EVENTS_MAX)"

_QUICK_TRIES = 3
_QUICK_PAUSE_S = 5.0
_LAST_POSTS_S = 5.0
_REDIS_AGAIN_S = 1.0


@dataclass
class Lane:
    """The events of one session in memory."""

    events: deque[Waiting] = field(default_factory=deque)
    tries: Tries = UNTRIED
    """Of the first event."""
    handed_over: bool = False
    """Whether all of it was moved to the session's queue while its first event was under way."""
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held by whoever takes events out."""


class Lanes:
    """The lanes of one endpoint."""

    def __init__(self, delivery: "Delivery", outbox: Outbox, parked: Parked, room: asyncio.Event) -> None:
        """`room` is set whenever an event leaves the memory."""
        self._delivery = delivery
        self._name = delivery.config.name
        self._outbox = outbox
        self._parked = parked
        self._acks = Acks(outbox, self._name, self._let_go)
        self._room = room
        self._stop = asyncio.Event()
        self._lanes: dict[str, Lane] = {}
        self._workers: set[asyncio.Task[None]] = set()
        self.held: set[str] = set()
        """Entry ids of the group that are in memory: in a lane, or delivered and not acknowledged yet."""
        self.parkings = 0
        """How many sessions were parked because they were refused."""

    def has(self, session_id: str) -> bool:
        """Whether an event of the session is being delivered from memory."""
        return session_id in self._lanes

    def handed_over(self, session_ids: Collection[str]) -> set[str]:
        """Return those of these sessions whose lane was moved to their queue and whose last post goes on."""
        return {one for one in session_ids if one in self._lanes and self._lanes[one].handed_over}

    async def run_acks(self, stop: asyncio.Event) -> None:
        """Acknowledge what is delivered until `stop` is set."""
        await self._acks.run(stop)

    async def put(self, wanted: Sequence[Waiting], tasks: asyncio.TaskGroup, stop: asyncio.Event) -> list[Waiting]:
        """Put events at the end of their session's lane; none may be of a parked session.

        Returns those for which there was no room in their session's queue although older ones were moved there. They
        count as in memory.
        """
        self._stop = stop
        for waiting in wanted:
            session_id = waiting.event.session_id
            self.held.add(waiting.entry_id)
            lane = self._lanes.get(session_id)
            if lane is None:
                lane = self._lanes[session_id] = Lane()
                worker = tasks.create_task(self._work(session_id, lane))
                self._workers.add(worker)
                worker.add_done_callback(self._workers.discard)
            lane.events.append(waiting)
        left_over: list[Waiting] = []
        for session_id in {one.event.session_id for one in wanted}:
            lane = self._lanes.get(session_id)
            # Nobody posts to an endpoint that is down, and memory is bounded all the same.
            if lane is not None and len(lane.events) > LANE_MAX and not self._delivery.gate.shut:
                left_over += await self._hand_over(session_id, lane)
        return left_over

    def hold(self, waiting: Sequence[Waiting]) -> None:
        """Count events as in memory that are in no lane."""
        self.held.update(one.entry_id for one in waiting)

    def let_go(self, waiting: Sequence[Waiting]) -> None:
        """Count events as not in memory any more."""
        for one in waiting:
            self._let_go(one.entry_id)

    async def finish(self) -> None:
        """Let posts in flight end for a few seconds."""
        if not self._workers:
            return
        _, late = await asyncio.wait(set(self._workers), timeout=_LAST_POSTS_S)
        for worker in late:
            worker.cancel()
        if self._lanes:
            events = sum(len(lane.events) for lane in self._lanes.values())
            log.info("webhook events left for the next start", endpoint=self._name, events=events, cut_off=len(late))

    def _let_go(self, entry_id: str) -> None:
        self.held.discard(entry_id)
        self._room.set()

    async def _work(self, session_id: str, lane: Lane) -> None:
        """Deliver one session's events in order until none waits, or the session is parked."""
        try:
            while lane.events and not self._stop.is_set():
                lane.tries = UNTRIED
                if not await self._settle_first(session_id, lane):
                    break
        finally:
            if not lane.events:
                del self._lanes[session_id]

    async def _settle_first(self, session_id: str, lane: Lane) -> bool:
        """Bring the first event of a lane out of it; False when stopped before, or when all of it was parked."""
        waiting = lane.events[0]
        while not self._stop.is_set():
            try:
                attempted = await self._delivery.attempt(session_id, waiting, lane.tries)
            except UnavailableError:  # Redis' time is not known: the answer is lost, the event is posted again
                await sleep_or_stop(_REDIS_AGAIN_S, self._stop)
                continue
            if attempted is None:
                return False
            async with lane.lock:
                if lane.handed_over:
                    await self._settle_handed_over(session_id, waiting, attempted)
                    return False
                answer, verdict, lane.tries = attempted
                if verdict is Verdict.TAKEN:
                    self._acks.add(lane.events.popleft().entry_id)
                    return True
                if verdict is Verdict.DEAD:
                    reason = f"given up after {lane.tries.count} tries: {answer.failure}"
                    return await self._bury_first(lane, reason)
                delay_s = self._delivery.pause_s(answer, lane.tries)
                if self._parks(answer, lane.tries, delay_s):
                    await self._park(session_id, lane, delay_s)
                    return False
            if not self._delivery.gate.down:
                await sleep_or_stop(delay_s, self._stop)
        return False

    def _parks(self, answer: Answer, tries: Tries, delay_s: float) -> bool:
        if answer.unreachable:
            return False
        # While the endpoint is down, others must have their turn to find out whether it is.
        return tries.count >= _QUICK_TRIES or delay_s > _QUICK_PAUSE_S or self._delivery.gate.down

    async def _bury_first(self, lane: Lane, reason: str) -> bool:
        while True:
            try:
                await self._outbox.bury(self._name, lane.events[0], reason=reason, tries=lane.tries.count)
                break
            except UnavailableError:
                if await sleep_or_stop(_REDIS_AGAIN_S, self._stop):
                    return False
        self._delivery.say_buried(lane.events[0], reason)
        self._let_go(lane.events.popleft().entry_id)
        return True

    async def _park(self, session_id: str, lane: Lane, delay_s: float) -> None:
        """Move the whole lane of a refused session to its queue; what is taken meanwhile goes with it."""
        log.info("webhook session parked", endpoint=self._name, session_id=session_id, events=len(lane.events))
        while lane.events:
            batch = list(lane.events)
            moved = await self._move(session_id, lane, batch, delay_s)
            if moved is None or (moved < len(batch) and not await self._bury_first(lane, NO_ROOM)):
                return
        self.parkings += 1

    async def _hand_over(self, session_id: str, lane: Lane) -> list[Waiting]:
        """Move a full lane to its session's queue as a whole, or not at all if there is no room for all of it.

        Returns what was left over all the same, because others took of the room meanwhile.
        """
        async with lane.lock:
            delay_s = 0.0 if lane.tries.count else None
            if not await self._move(session_id, lane, list(lane.events), delay_s, whole=True):
                return []
            lane.handed_over = True
            left_over = list(lane.events)
            lane.events.clear()
            return left_over

    async def _move(
        self, session_id: str, lane: Lane, batch: Sequence[Waiting], delay_s: float | None, *, whole: bool = False
    ) -> int | None:
        """Move events from the start of a lane to the session's queue; return how many, None when stopped before.

        A `delay_s` of None says that the session was not refused. `whole` moves none unless all have room.
        """
        while True:
            try:
                due_ms = None if delay_s is None else await self._outbox.now_ms() + round(delay_s * 1000)
                moved = await self._parked.park(
                    self._name, session_id, batch, due_ms=due_ms, tries=lane.tries, whole=whole
                )
                break
            except UnavailableError:
                if await sleep_or_stop(_REDIS_AGAIN_S, self._stop):
                    return None
        for _ in range(moved):
            self._let_go(lane.events.popleft().entry_id)
        return moved

    async def _settle_handed_over(
        self, session_id: str, waiting: Waiting, attempted: tuple[Answer, Verdict, Tries]
    ) -> None:
        """Settle an event in the session's queue, into which it was moved while it was posted."""
        try:
            head = await self._parked.head(self._name, session_id, 1)
            # Others only if a dead letter was sent again meanwhile: then this event is posted once more in its turn.
            if head and head[0].event.event_id == waiting.event.event_id:
                await self._delivery.revival.settle(session_id, head[0], *attempted)
        except UnavailableError as error:
            log.warning("webhook event is delivered again", endpoint=self._name, session_id=session_id, code=error.code)
