"""The event stream: what happened to sessions, in the order in which it was told.

It is the log that is read by entry id, and the outbox that `outbox` delivers from. It is bounded by whoever writes.
"""

import json

from daemon.core.clock import iso, parse_iso
from daemon.registry import keys
from daemon.registry.link import RedisLink
from daemon.sessions.events import Event, EventKind

EVENTS_MAX = 200_000

_TOLD_MAX = 128
_TOLD_FOR_MS = 3 * 24 * 3600 * 1000


class EventStream:
    """The stream of events in Redis. Beyond `events_max` entries the oldest go, counted if an endpoint lacks them."""

    def __init__(self, link: RedisLink, *, events_max: int = EVENTS_MAX) -> None:
        self._link = link
        self._events_max = events_max

    async def publish(self, event: Event) -> str:
        """Append one event and return its entry id.

        Raises:
            RedisUnavailableError: it may or may not be there; publish again with the same event id.
        """
        names = [keys.EVENTS, keys.EVENT_COUNTS]
        return str(await self._link.run("add_event", names, [event_to_text(event), self._events_max]))

    async def may_tell(self, event: Event, token: int) -> bool | None:
        """Whether the holder with this token may tell an event of its session; None when it was told before.

        Only events that were given to `note_told` are known to have been told. A token of 0 is no holder's.
        """
        found = [keys.token(event.session_id), keys.told(event.session_id)]
        answer = int(await self._link.run("may_tell", found, [token, event.event_id]))
        return {1: True, 0: None}.get(answer, False)

    async def note_told(self, event: Event) -> None:
        """Remember for some days that an event which may come twice was told, of the last 128 of the session."""
        await self._link.run("note_told", [keys.told(event.session_id)], [event.event_id, _TOLD_MAX, _TOLD_FOR_MS])

    async def count(self) -> int:
        """Return how many events the stream has, delivered or not."""
        async with self._link.asking("count events"):
            return int(await self._link.text.xlen(keys.EVENTS))


def event_to_text(event: Event) -> str:
    """Return an event as it is stored."""
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


def event_from_text(text: str) -> Event:
    """Return a stored event.

    Raises:
        ValueError, KeyError, TypeError: a newer version, or somebody else, wrote it.
    """
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
