"""Telling what happened to one session: events in order, kept here until Redis has them.

What never comes a second time, as a message, is on disk as well until then (see `journal`).
"""

import asyncio
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import structlog

from daemon.core.clock import utc_now
from daemon.core.errors import RedisUnavailableError
from daemon.core.ids import new_id
from daemon.registry.events import EventStream
from daemon.sessions.events import Event, EventKind
from daemon.sessions.record import SessionRecord
from shards.journal import Journal

log = structlog.get_logger()

_QUEUE_MAX = 1000
_RETRY_S = 0.5


@dataclass(frozen=True, kw_only=True)
class _Telling:
    event: Event
    once: bool
    """It may come again after a crash and a restore, and is to be told once."""
    on_disk: bool
    """It is told from the journal if not from here."""


class Publisher:
    """The events of one session."""

    def __init__(
        self,
        stream: EventStream,
        record: SessionRecord,
        *,
        may_tell: Callable[[], bool],
        token: int = 0,
        journal: Journal | None = None,
    ) -> None:
        """`may_tell` says whether the session is still ours: a holder that was stopped for long tells nothing more.

        Redis says so too, by the lease's `token`, in the moment before each event is told; 0 is not compared.
        """
        self._stream = stream
        self._may_tell = may_tell
        self._record = record
        self._journal = journal
        self._queue: asyncio.Queue[_Telling] = asyncio.Queue()
        self._shorter = asyncio.Event()
        self._only_here = 0
        self.token = token
        self.lost = 0
        """Events that were not told, because the session was not ours any more or Redis did not take them in time."""

    async def tell(self, kind: EventKind, data: Mapping[str, Any], *, identity: str | None = None) -> None:
        """Queue an event; waits while the queue is full, at the longest until the session is not ours any more.

        `identity`: see `tell_at_once`.
        """
        while self._queue.qsize() >= _QUEUE_MAX:
            self._shorter.clear()
            await self._shorter.wait()
        self.tell_at_once(kind, data, identity=identity)

    def tell_at_once(self, kind: EventKind, data: Mapping[str, Any], *, identity: str | None = None) -> None:
        """Queue an event, on top of a full queue as well: for what the page has confirmed and never comes again.

        `identity` names what happened (as a message id), so that it is told once, also by another shard after a crash.
        A crash between telling and remembering tells it again, with the same event id.
        """
        event = self._event(kind, data, identity)
        on_disk = identity is not None and self._journal is not None and self._journal.add(event)
        self._only_here += not on_disk
        self._queue.put_nowait(_Telling(event=event, once=identity is not None, on_disk=on_disk))

    def keep(self, kind: EventKind, data: Mapping[str, Any], *, identity: str) -> None:
        """Write down an event that is told, under the same identity, once something else is done.

        Should this process not get so far, it is told all the same, by whoever finds the journal.
        """
        if self._journal is not None:
            self._journal.add(self._event(kind, data, identity))

    def _event(self, kind: EventKind, data: Mapping[str, Any], identity: str | None) -> Event:
        event_id = new_id("evt")
        if identity is not None:
            text = f"{self._record.session_id}|{kind}|{identity}"
            # An identity may have what no UTF-8 has, if it comes from a stranger.
            event_id = f"evt_{hashlib.blake2b(text.encode(errors='surrogatepass'), digest_size=13).hexdigest().upper()}"
        return Event(
            event_id=event_id,
            kind=kind,
            session_id=self._record.session_id,
            workspace_id=self._record.workspace_id,
            user_id=self._record.user_id,
            at=utc_now(),
            data=data,
        )

    async def run(self) -> None:
        """Move events to Redis until cancelled; the oldest is tried until it is there."""
        while True:
            telling = await self._queue.get()
            self._shorter.set()
            try:
                await self._publish(telling)
            finally:
                self._only_here -= not telling.on_disk
                self._queue.task_done()

    async def _publish(self, telling: _Telling) -> None:
        failures = 0
        while True:
            if not self._may_tell():
                self._lose(telling)
                return
            try:
                await self._tell(telling)
                return
            except RedisUnavailableError as error:
                failures += 1
                if failures == 1:
                    log.warning("events wait for Redis", waiting=self._queue.qsize() + 1, code=error.code)
                await asyncio.sleep(_RETRY_S)

    def _told(self, telling: _Telling) -> None:
        if self._journal is not None and telling.on_disk:
            self._journal.told(telling.event)

    async def _tell(self, telling: _Telling) -> None:
        """Append an event if it is ours to tell and was not told before."""
        event = telling.event
        told = await self._stream.tell(event, token=self.token, once=telling.once, holds=self._may_tell)
        if told is False:
            self._lose(telling)
            return
        if told is None:
            log.debug("event told before", kind=event.kind, event_id=event.event_id)
        self._told(telling)

    def _lose(self, telling: _Telling) -> None:
        if telling.on_disk:
            return  # it is told from the journal
        self.lost += 1
        if self.lost == 1:
            event = telling.event
            log.error("event not told: the session is not ours any more", kind=event.kind, event_id=event.event_id)

    def close(self) -> None:
        """End: what is on disk and not told is told from there."""
        if self._journal is not None and (left := self._journal.close()):
            log.warning("events left on disk, they are told as soon as Redis takes them", events=left)

    async def drained(self, *, timeout_s: float) -> bool:
        """Wait until Redis has everything; False if something is lost because it has not in time."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._queue.join()
        except TimeoutError:
            self.lost += self._only_here
        if self.lost:
            log.error("events not told", lost=self.lost)
        return not self.lost
