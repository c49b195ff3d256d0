"""Telling what happened to one session: events in order, kept in memory only until Redis has them."""

import asyncio
import hashlib
from collections.abc import Callable, Mapping
from typing import Any

import structlog

from daemon.core.clock import utc_now
from daemon.core.errors import RedisUnavailableError
from daemon.core.ids import new_id
from daemon.registry.events import EventStream
from daemon.sessions.events import Event, EventKind
from daemon.sessions.record import SessionRecord

log = structlog.get_logger()

_QUEUE_MAX = 1000
_RETRY_S = 0.5


class Publisher:
    """The events of one session."""

    def __init__(self, stream: EventStream, record: SessionRecord, *, may_tell: Callable[[], bool]) -> None:
        """`may_tell` says whether the session is still ours: a holder that was stopped for long tells nothing more."""
        self._stream = stream
        self._may_tell = may_tell
        self._record = record
        self._queue: asyncio.Queue[Event] = asyncio.Queue(maxsize=_QUEUE_MAX)

    async def tell(self, kind: EventKind, data: Mapping[str, Any], *, identity: str | None = None) -> None:
        """Queue an event; waits while the queue is full.

        `identity` names what happened (as a message id), so that telling the same thing twice gives one event id.
        """
        event_id = new_id("evt")
        if identity is not None:
            text = f"{self._record.session_id}|{kind}|{identity}"
            event_id = f"evt_{hashlib.blake2b(text.encode(), digest_size=13).hexdigest().upper()}"
        await self._queue.put(
            Event(
                event_id=event_id,
                kind=kind,
                session_id=self._record.session_id,
                workspace_id=self._record.workspace_id,
                user_id=self._record.user_id,
                at=utc_now(),
                data=data,
            )
        )

    async def run(self) -> None:
        """Move events to Redis until cancelled; the oldest is tried until it is there."""
        while True:
            event = await self._queue.get()
            try:
                await self._publish(event)
            finally:
                self._queue.task_done()

    async def _publish(self, event: Event) -> None:
        failures = 0
        while True:
            if not self._may_tell():
                log.error("event not told: the session is not ours any more", kind=event.kind, event_id=event.event_id)
                return
            try:
                await self._stream.publish(event)
                return
            except RedisUnavailableError as error:
                failures += 1
                if failures == 1:
                    log.warning("events wait for Redis", waiting=self._queue.qsize() + 1, code=error.code)
                await asyncio.sleep(_RETRY_S)

    async def drained(self, *, timeout_s: float) -> bool:
        """Wait until Redis has everything; False if it has not in time (the rest is lost when the process ends)."""
        try:
            await asyncio.wait_for(self._queue.join(), timeout_s)
        except TimeoutError:
            log.error("events not delivered to Redis", lost=self._queue.qsize())
            return False
        return True
