"""Reading the event stream as a log: by entry id, without taking anything from those to whom it is delivered."""

from collections.abc import Sequence
from dataclasses import dataclass

import structlog

from daemon.registry import keys
from daemon.registry.commands import entries
from daemon.registry.events import event_from_text
from daemon.registry.link import RedisLink
from daemon.sessions.events import Event

log = structlog.get_logger()

_START = "0-0"


@dataclass(frozen=True, kw_only=True)
class Logged:
    """One event and its place in the log."""

    entry_id: str
    event: Event


class EventLog:
    """The log of events; the oldest leave it once they are delivered and many newer ones are there."""

    def __init__(self, link: RedisLink) -> None:
        self._link = link

    async def newest(self) -> str:
        """Return the id of the newest entry, `0-0` of an empty log."""
        async with self._link.asking("read the newest event"):
            found = await self._link.text.xrevrange(keys.EVENTS, count=1)
        return str(found[0][0]) if found else _START

    async def oldest(self) -> str | None:
        """Return the id of the oldest entry that is kept; None of an empty log."""
        async with self._link.asking("read the oldest event"):
            found = await self._link.text.xrange(keys.EVENTS, count=1)
        return str(found[0][0]) if found else None

    async def whole(self) -> bool:
        """Whether nothing has left the log yet; there must be entries in it. False when Redis 6 does not say."""
        async with self._link.asking("look at the event log"):
            found = await self._link.text.xinfo_stream(keys.EVENTS)
        return bool(found.get("entries-added") == found["length"])

    async def after(self, entry_id: str, *, count: int) -> tuple[Sequence[Logged], str]:
        """Return up to `count` entries behind `entry_id`, and the id behind which to go on.

        One that cannot be read (written by a newer version) is passed over.
        """
        async with self._link.asking("read events"):
            found = await self._link.text.xrange(keys.EVENTS, min=f"({entry_id}", count=count)
        return _parsed(found), str(found[-1][0]) if found else entry_id

    async def wait(self, entry_id: str, *, count: int, block_ms: int) -> tuple[Sequence[Logged], str]:
        """The same, but wait up to `block_ms` while there is nothing."""
        async with self._link.waiting("read events", waits_s=block_ms / 1000) as client:
            answer = await client.xread({keys.EVENTS: entry_id}, count=count, block=block_ms)
        found = entries(answer)
        return _parsed(found), found[-1][0] if found else entry_id


def entry_order(entry_id: str) -> tuple[int, int]:
    """Return what orders entry ids.

    Raises:
        ValueError: it is none.
    """
    milliseconds, _, sequence = entry_id.partition("-")
    order = int(milliseconds), int(sequence or 0)
    if max(order) >= 1 << 64:
        raise ValueError("no stream has such an id")
    return order


def _parsed(found: Sequence[tuple[str, dict[str, str]]]) -> list[Logged]:
    parsed = []
    for entry_id, fields in found:
        try:
            parsed.append(Logged(entry_id=str(entry_id), event=event_from_text(fields["event"])))
        except (ValueError, KeyError, TypeError) as error:
            log.error("event cannot be read", entry_id=entry_id, error=type(error).__name__)
    return parsed
