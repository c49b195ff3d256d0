"""The event stream: what happened to sessions, in the order in which it was told.

It is the log that is read by entry id, and the outbox that `outbox` delivers from. It is bounded by whoever writes.
"""

import contextlib
import json
from collections.abc import Callable

from daemon.core.clock import iso, parse_iso
from daemon.core.errors import RedisUnavailableError
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

    async def tell(self, event: Event, *, token: int, once: bool, holds: Callable[[], bool]) -> bool | None:
        """Append an event if `may_tell` allows it, and return what that says; with `once` it is noted as told.

        Where Redis is one server all of it is one script. On a cluster log and session lie on different masters:
        `holds` is asked, too, after Redis was, and an event that could not be noted may come again.

        Raises:
            RedisUnavailableError: it may or may not be there; tell it again with the same event id.
        """
        if self._link.kind == "cluster":
            return await self._tell_apart(event, token, once, holds)
        names = [keys.EVENTS, keys.EVENT_COUNTS, keys.token(event.session_id), keys.told(event.session_id)]
        told_max = _TOLD_MAX if once else 0
        args: list[str | int] = [event_to_text(event), self._events_max, token, event.event_id, told_max, _TOLD_FOR_MS]
        return _may(await self._link.run("add_event", names, args))

    async def _tell_apart(self, event: Event, token: int, once: bool, holds: Callable[[], bool]) -> bool | None:
        may = await self.may_tell(event, token)
        if may and not holds():
            return False
        if may:
            await self.publish(event)
            if once:
                with contextlib.suppress(RedisUnavailableError):
                    await self.note_told(event)
        return may

    async def may_tell(self, event: Event, token: int) -> bool | None:
        """Whether the holder with this token may tell an event of its session; None when it was told before.

        Only events that were given to `note_told` are known to have been told. A token of 0 is no holder's.
        """
        found = [keys.token(event.session_id), keys.told(event.session_id)]
        return _may(await self._link.run("may_tell", found, [token, event.event_id]))

    async def note_told(self, event: Event) -> None:
        """Remember for some days that an event which may come twice was told, of the last 128 of the session."""
        await self._link.run("note_told", [keys.told(event.session_id)], [event.event_id, _TOLD_MAX, _TOLD_FOR_MS])

    async def count(self) -> int:
        """Return how many events the stream has, delivered or not."""
        async with self._link.asking("count events"):
            return int(await self._link.text.xlen(keys.EVENTS))


def _may(answer: int | str) -> bool | None:
    """Return what a script said: 0 told before, -1 a newer token exists; 1 or the id of an entry otherwise."""
    return None if answer == 0 else answer != -1


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
