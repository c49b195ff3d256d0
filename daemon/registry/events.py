"""The event stream: what happened to sessions, waiting to be delivered to Laravel.

Entries leave the stream only when delivered or buried among the dead letters, so nothing is lost while nobody reads.
"""

import json
from collections.abc import Sequence
from typing import Any

import structlog
from redis.exceptions import ResponseError

from daemon.core.clock import iso, parse_iso
from daemon.registry import keys
from daemon.registry.commands import entries
from daemon.registry.link import RedisLink
from daemon.sessions.events import Event, EventKind

log = structlog.get_logger()

_GROUP = "webhooks"
_DEAD_MAX = 100_000


class EventStream:
    """The stream of events in Redis."""

    def __init__(self, link: RedisLink) -> None:
        self._link = link

    async def publish(self, event: Event) -> None:
        """Append one event.

        Raises:
            RedisUnavailableError: it may or may not be there; publish again with the same event id.
        """
        async with self._link.asking("take an event"):
            await self._link.text.xadd(keys.EVENTS, {"event": _to_text(event)})

    async def join(self) -> None:
        """Create the consumer group if missing; it begins at the oldest entry."""
        async with self._link.asking("make the event group"):
            try:
                await self._link.text.xgroup_create(keys.EVENTS, _GROUP, id="0", mkstream=True)
            except ResponseError as error:
                if "BUSYGROUP" not in str(error):
                    raise

    async def take(self, consumer: str, count: int, block_ms: int) -> list[tuple[str, Event]]:
        """Wait up to `block_ms` for new events; each goes to one consumer only."""
        async with self._link.waiting("read events", waits_s=block_ms / 1000) as client:
            answer = await client.xreadgroup(_GROUP, consumer, {keys.EVENTS: ">"}, count=count, block=block_ms)
        return _parsed(entries(answer))

    async def reclaim(self, consumer: str, idle_ms: int, count: int) -> list[tuple[str, Event]]:
        """Take over up to `count` events that their consumer has not acknowledged for `idle_ms`."""
        async with self._link.asking("reclaim events"):
            answer: Any = await self._link.text.xautoclaim(
                keys.EVENTS, _GROUP, consumer, min_idle_time=idle_ms, start_id="0-0", count=count
            )
        return _parsed([(entry_id, fields) for entry_id, fields in answer[1] if fields])

    async def done(self, entry_ids: Sequence[str]) -> None:
        """Acknowledge and remove delivered events."""
        if not entry_ids:
            return
        async with self._link.asking("acknowledge events"):
            pipe = self._link.text.pipeline(transaction=True)
            pipe.xack(keys.EVENTS, _GROUP, *entry_ids)
            pipe.xdel(keys.EVENTS, *entry_ids)
            await pipe.execute()

    async def bury(self, entry_id: str, event: Event, error: str) -> None:
        """Move an event that was given up to the dead letters, with the reason."""
        async with self._link.asking("bury an event"):
            await self._link.text.xadd(
                keys.DEAD_LETTERS, {"event": _to_text(event), "error": error}, maxlen=_DEAD_MAX, approximate=True
            )
        await self.done([entry_id])

    async def waiting(self) -> int:
        """Return how many events are not delivered yet."""
        async with self._link.asking("count events"):
            return int(await self._link.text.xlen(keys.EVENTS))


def _to_text(event: Event) -> str:
    return json.dumps(
        {
            "id": event.event_id,
            "event": event.kind.value,
            "session_id": event.session_id,
            "workspace_id": event.workspace_id,
            "user_id": event.user_id,
            "timestamp": iso(event.at),
            "data": dict(event.data),
        },
        separators=(",", ":"),
    )


def _parsed(found: list[tuple[str, dict[str, str]]]) -> list[tuple[str, Event]]:
    """Read events; one that cannot be read (written by a newer version) stays pending and is logged, not delivered."""
    parsed = []
    for entry_id, fields in found:
        try:
            parsed.append((entry_id, _from_text(fields["event"])))
        except (ValueError, KeyError, TypeError) as error:
            log.error("event cannot be read", entry_id=entry_id, error=type(error).__name__)
    return parsed


def _from_text(text: str) -> Event:
    raw = json.loads(text)
    return Event(
        event_id=raw["id"],
        kind=EventKind(raw["event"]),
        session_id=raw["session_id"],
        workspace_id=raw["workspace_id"],
        user_id=raw["user_id"],
        at=parse_iso(raw["timestamp"]),
        data=raw["data"],
    )
