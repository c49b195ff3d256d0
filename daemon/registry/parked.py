"""Parked sessions: those that one endpoint refuses while it takes others, or that have more to tell than memory is for.

Their events wait in a queue for each session, outside the stream, so that they hold up neither other sessions nor the
trimming. Only the leading coordinator parks, tries and takes away; anybody may add to the end of a queue
(`DeadLetters.redrive`).
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from daemon.registry import keys
from daemon.registry.dead_letters import letter_fields
from daemon.registry.events import event_from_text, event_to_text
from daemon.registry.link import RedisLink
from daemon.registry.outbox import Outbox, Waiting

_PARK_BATCH = 100
_BEFORE_REFUSED_MS = 1 << 45
"""Who was not refused is due so long before now: among themselves the longest waiting first, and before all others."""


@dataclass(frozen=True, kw_only=True)
class Tries:
    """How often an event was tried in vain, and since when (milliseconds of Redis' clock)."""

    count: int = 0
    since_ms: int = 0


UNTRIED = Tries()


class Parked:
    """The parked sessions of all endpoints. Every method raises RedisUnavailableError."""

    def __init__(self, link: RedisLink, outbox: Outbox) -> None:
        self._link = link
        self._outbox = outbox

    async def which(self, endpoint: str, session_ids: Sequence[str]) -> set[str]:
        """Return those of these sessions that are parked."""
        if not session_ids:
            return set()
        async with self._link.asking("find parked sessions"):
            scores = await self._link.text.zmscore(keys.parked_due(endpoint), list(session_ids))
        return {session_id for session_id, score in zip(session_ids, scores, strict=True) if score is not None}

    async def park(
        self,
        endpoint: str,
        session_id: str,
        events: Sequence[Waiting],
        *,
        due_ms: int | None,
        tries: Tries = UNTRIED,
        whole: bool = False,
    ) -> int:
        """Move events from the endpoint's group to the end of the session's queue; return how many there was room for.

        `due_ms` and `tries` count only if the session is not parked yet; None: it was not refused (`behind`). `whole`
        moves none unless there is room for all, though another's may take some of it in between if they are very many.
        """
        if due_ms is None:
            due_ms = await self._unrefused_ms()
        names = [
            keys.EVENTS,
            keys.parked_queue(endpoint, session_id),
            keys.parked_due(endpoint),
            keys.parked_oldest(endpoint),
            keys.parked_tries(endpoint),
            keys.EVENT_COUNTS,
        ]
        moved = 0
        for start in range(0, len(events), _PARK_BATCH):
            batch = events[start : start + _PARK_BATCH]
            flat = [part for one in batch for part in (one.entry_id, event_to_text(one.event))]
            known = _tries_to_text(tries) if tries.count else ""
            needed = len(events) - start if whole else 0
            first = (endpoint, session_id, due_ms, self._outbox.events_max, known, needed)
            moved += int(await self._link.run("park_events", names, [*first, *flat]))
            if moved < start + len(batch):
                break
        return moved

    async def room(self, endpoint: str) -> int:
        """Return how many more events may be parked."""
        async with self._link.asking("count parked events"):
            parked = await self._link.text.hget(keys.EVENT_COUNTS, f"parked:{endpoint}")
        return max(0, self._outbox.events_max - int(parked or 0))

    async def due(self, endpoint: str, now_ms: int, limit: int) -> list[str]:
        """Return the refused sessions whose next try is due, the longest due first."""
        return await self._scored(endpoint, "0", str(now_ms), limit)

    async def behind(self, endpoint: str, limit: int) -> list[str]:
        """Return the sessions that wait although they were not refused, the longest waiting first."""
        return await self._scored(endpoint, "-inf", "(0", limit)

    async def put_last(self, endpoint: str, session_id: str) -> None:
        """Let a session that is taken wait behind the others of `behind`."""
        async with self._link.asking("put a session last"):
            due = {session_id: await self._unrefused_ms()}
            await self._link.text.zadd(keys.parked_due(endpoint), due, xx=True)

    async def head(self, endpoint: str, session_id: str, count: int) -> list[Waiting]:
        """Return the first events of a session's queue."""
        async with self._link.asking("read parked events"):
            found = await self._link.text.xrange(keys.parked_queue(endpoint, session_id), count=count)
        waiting = []
        for entry_id, fields in found:
            try:
                event = event_from_text(fields["event"])
            except (ValueError, KeyError, TypeError) as error:  # sent again, and still of a newer version
                reason = f"it cannot be read: {type(error).__name__}"
                letter = letter_fields(fields.get("event", ""), endpoint, reason, 0, int(fields["told"]))
                await self._bury(endpoint, session_id, entry_id, letter)
                continue
            waiting.append(Waiting(entry_id=entry_id, event=event, told_ms=int(fields["told"])))
        return waiting

    async def tries(self, endpoint: str, session_id: str) -> Tries:
        """Return how often the first event of the queue was tried."""
        async with self._link.asking("read tries"):
            text = await self._link.text.hget(keys.parked_tries(endpoint), session_id)
        return _tries_from(text) if text else UNTRIED

    async def postpone(self, endpoint: str, session_id: str, *, due_ms: int, tries: Tries) -> None:
        """Note a failed try of the first event, and when it is tried next."""
        await self._link.together(
            "postpone a session",
            ("ZADD", keys.parked_due(endpoint), "XX", due_ms, session_id),
            ("HSET", keys.parked_tries(endpoint), session_id, _tries_to_text(tries)),
        )

    async def delivered(self, endpoint: str, session_id: str, entry_id: str = "") -> bool:
        """Take the first event away, or none; return whether the queue is empty and the session not parked any more."""
        names = [
            keys.parked_queue(endpoint, session_id),
            keys.parked_due(endpoint),
            keys.parked_oldest(endpoint),
            keys.parked_tries(endpoint),
            keys.EVENT_COUNTS,
        ]
        return bool(await self._link.run("leave_parked", names, [endpoint, session_id, entry_id]))

    async def bury(self, endpoint: str, session_id: str, waiting: Waiting, *, reason: str, tries: int) -> bool:
        """Move the first event to the dead letters, where its tries end; return as `delivered`."""
        fields = letter_fields(event_to_text(waiting.event), endpoint, reason, tries, waiting.told_ms)
        await self._bury(endpoint, session_id, waiting.entry_id, fields)
        return await self.delivered(endpoint, session_id)

    async def hurry(self, endpoint: str, now_ms: int, *, since_ms: int = 0) -> None:
        """Have the sessions tried at once whose first event was first refused after `since_ms`."""
        async with self._link.asking("hurry parked sessions"):
            known = await self._link.text.hgetall(keys.parked_tries(endpoint))
            found = [session_id for session_id, text in known.items() if _tries_from(text).since_ms >= since_ms]
            for start in range(0, len(found), 1000):
                due = dict.fromkeys(found[start : start + 1000], now_ms)
                await self._link.text.zadd(keys.parked_due(endpoint), due, xx=True, lt=True)

    async def _unrefused_ms(self) -> int:
        return await self._outbox.now_ms() - _BEFORE_REFUSED_MS

    async def _scored(self, endpoint: str, least: str, most: str, limit: int) -> list[str]:
        async with self._link.asking("find due sessions"):
            found = await self._link.text.zrangebyscore(keys.parked_due(endpoint), least, most, start=0, num=limit)
        return [str(session_id) for session_id in found]

    async def _bury(self, endpoint: str, session_id: str, entry_id: str, fields: Mapping[str, str]) -> None:
        flat = [part for field in fields.items() for part in field]
        await self._link.run(
            "bury_event",
            [
                keys.parked_queue(endpoint, session_id),
                keys.DEAD_LETTERS,
                keys.EVENT_COUNTS,
                keys.parked_tries(endpoint),
            ],
            ["queue", entry_id, endpoint, self._outbox.dead_letters_max, session_id, *flat],
        )


def _tries_from(text: str) -> Tries:
    raw = json.loads(text)
    return Tries(count=int(raw.get("count", 0)), since_ms=int(raw.get("since_ms", 0)))


def _tries_to_text(tries: Tries) -> str:
    return json.dumps({"count": tries.count, "since_ms": tries.since_ms})
