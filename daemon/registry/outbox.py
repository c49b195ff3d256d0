"""The outbox: for each endpoint a consumer group of the event stream, read by the leading coordinator only.

An event leaves an endpoint's group when it was delivered, parked (`parked`) or buried (`dead_letters`). It stays in the
stream, which is the log, until every group is past it and enough newer ones are there.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import structlog

from daemon.core.clock import mono_s
from daemon.registry import keys
from daemon.registry.commands import entries
from daemon.registry.dead_letters import DEAD_LETTERS_MAX, letter_fields
from daemon.registry.events import EVENTS_MAX, event_from_text, event_to_text
from daemon.registry.link import RedisLink
from daemon.sessions.events import Event

log = structlog.get_logger()

_CONSUMER = "leader"
"""One name for all: what the leader before took is found as our own."""
_GROUP_PREFIX = "to:"
_TRIM_BATCH = 500


@dataclass(frozen=True, kw_only=True)
class Waiting:
    """An event that waits for one endpoint. `entry_id` is its place: in the event stream, or in a parked queue."""

    entry_id: str
    event: Event
    told_ms: int
    """When it was told, or told again, in milliseconds of Redis' clock."""


@dataclass(frozen=True, kw_only=True)
class EndpointCounts:
    """How much waits for one endpoint, and what went wrong. `waiting` counts events that it may not subscribe to."""

    waiting: int = 0
    parked_sessions: int = 0
    parked_events: int = 0
    oldest_told_ms: int | None = None
    dead: int = 0
    dropped: int = 0
    """Events that were lost because the stream was full."""
    forgotten: int = 0
    """Dead letters that were lost because there were too many."""


@dataclass(frozen=True, kw_only=True)
class OutboxCounts:
    """The whole outbox in numbers."""

    events: int
    dead_letters: int
    endpoints: Mapping[str, EndpointCounts]


def group_of(endpoint: str) -> str:
    """Return the name of an endpoint's consumer group."""
    return f"{_GROUP_PREFIX}{endpoint}"


class Outbox:
    """What waits for the endpoints. Every method raises RedisUnavailableError."""

    def __init__(
        self, link: RedisLink, *, events_max: int = EVENTS_MAX, dead_letters_max: int = DEAD_LETTERS_MAX
    ) -> None:
        self._link = link
        self.events_max = events_max
        self.dead_letters_max = dead_letters_max
        self._ahead_ms: float | None = None

    async def now_ms(self) -> int:
        """Return Redis' time, which events are told by, counted on from when it was last asked for."""
        if self._ahead_ms is None:
            await self.keep_time()
        return int((self._ahead_ms or 0.0) + mono_s() * 1000)

    async def keep_time(self) -> None:
        """Ask for Redis' time."""
        # Of a cluster, the master's that names the entries.
        seconds, micros = await self._link.run("tell_time", [keys.EVENTS], [])
        self._ahead_ms = int(seconds) * 1000 + int(micros) / 1000 - mono_s() * 1000

    async def join(self, endpoints: Sequence[str]) -> None:
        """Create missing groups. The very first ones begin at the oldest event, later ones with what comes next."""
        groups = [group_of(name) for name in endpoints]
        for group in await self._link.run("join_events", [keys.EVENTS, keys.EVENT_COUNTS], groups):
            log.info("endpoint begins to receive", endpoint=str(group).removeprefix(_GROUP_PREFIX))

    async def take(self, endpoint: str, count: int, block_ms: int) -> list[Waiting]:
        """Wait up to `block_ms` for new events."""
        async with self._link.waiting("read events", waits_s=block_ms / 1000) as client:
            answer = await client.xreadgroup(
                group_of(endpoint), _CONSUMER, {keys.EVENTS: ">"}, count=count, block=block_ms
            )
        return await self._read(endpoint, entries(answer))

    async def reclaim(self, endpoint: str, count: int) -> list[Waiting]:
        """Return the `count` oldest events that were taken and are neither delivered, parked nor buried."""
        async with self._link.asking("reclaim events"):
            answer: Any = await self._link.text.xautoclaim(
                keys.EVENTS, group_of(endpoint), _CONSUMER, min_idle_time=0, start_id="0-0", count=count
            )
        await self._note_lost(endpoint, len(answer[2]) if len(answer) > 2 else 0)
        return await self._read(endpoint, [(entry_id, fields) for entry_id, fields in answer[1] if fields])

    async def done(self, endpoint: str, entry_ids: Sequence[str]) -> None:
        """Acknowledge events that were delivered, or that the endpoint does not want."""
        if entry_ids:
            async with self._link.asking("acknowledge events"):
                await self._link.text.xack(keys.EVENTS, group_of(endpoint), *entry_ids)

    async def bury(self, endpoint: str, waiting: Waiting, *, reason: str, tries: int) -> None:
        """Move an event that was given up to the dead letters."""
        fields = letter_fields(event_to_text(waiting.event), endpoint, reason, tries, waiting.told_ms)
        await self._bury(endpoint, waiting.entry_id, fields)

    async def trim(self, *, keep: int) -> int:
        """Remove what every endpoint is past, but keep the newest `keep`; return how many went."""
        removed = 0
        while True:
            step = int(await self._link.run("trim_events", [keys.EVENTS], [keep, _TRIM_BATCH]))
            removed += step
            if step < _TRIM_BATCH:
                return removed

    async def endpoints(self) -> list[str]:
        """Return the names of all endpoints that have a group."""
        return [name for name, _ in await self._groups()]

    async def remove(self, endpoint: str) -> int:
        """Forget an endpoint with everything that waits for it but its dead letters; return how much was parked."""
        async with self._link.asking("forget an endpoint"):
            text = self._link.text
            parked = int(await text.hget(keys.EVENT_COUNTS, f"parked:{endpoint}") or 0)
            await text.xgroup_destroy(keys.EVENTS, group_of(endpoint))
            for session_id in await text.zrange(keys.parked_due(endpoint), 0, -1):
                await text.delete(keys.parked_queue(endpoint, session_id))
            await text.delete(keys.parked_due(endpoint), keys.parked_oldest(endpoint), keys.parked_tries(endpoint))
            await text.hdel(keys.EVENT_COUNTS, *(f"{kind}:{endpoint}" for kind in ("parked", "dropped", "forgotten")))
            await text.hdel(keys.ENDPOINTS, endpoint)
            await text.hdel(keys.ENDPOINTS_PAUSED, endpoint)
        return parked

    async def counts(self) -> OutboxCounts:
        """Return the numbers of all endpoints that have a group."""
        groups = await self._groups()
        async with self._link.asking("count what waits"):
            numbers = {name: int(number) for name, number in (await self._link.text.hgetall(keys.EVENT_COUNTS)).items()}
            events = int(await self._link.text.xlen(keys.EVENTS))
            dead = int(await self._link.text.xlen(keys.DEAD_LETTERS))
            found = {name: await self._counts(name, group, numbers) for name, group in groups}
        return OutboxCounts(events=events, dead_letters=dead, endpoints=found)

    async def say(self, told: Mapping[str, Mapping[str, Any]]) -> None:
        """Leave what the leader knows of each endpoint, for whoever is asked."""
        if told:
            async with self._link.asking("note the endpoints"):
                await self._link.text.hset(
                    keys.ENDPOINTS, mapping={name: json.dumps(dict(facts)) for name, facts in told.items()}
                )

    async def said(self) -> dict[str, dict[str, Any]]:
        """Return what the leader last said of each endpoint."""
        async with self._link.asking("read the endpoints"):
            found = await self._link.text.hgetall(keys.ENDPOINTS)
        return {name: json.loads(text) for name, text in found.items()}

    async def pause(self, endpoint: str, facts: Mapping[str, Any]) -> None:
        """Deliver nothing to an endpoint until `resume`."""
        async with self._link.asking("pause an endpoint"):
            await self._link.text.hset(keys.ENDPOINTS_PAUSED, endpoint, json.dumps(dict(facts)))

    async def resume(self, endpoint: str) -> bool:
        """End a pause; False when there was none."""
        async with self._link.asking("resume an endpoint"):
            return bool(await self._link.text.hdel(keys.ENDPOINTS_PAUSED, endpoint))

    async def paused(self) -> dict[str, dict[str, Any]]:
        """Return which endpoints are paused, and why."""
        async with self._link.asking("read the pauses"):
            found = await self._link.text.hgetall(keys.ENDPOINTS_PAUSED)
        return {name: json.loads(text) for name, text in found.items()}

    async def _groups(self) -> list[tuple[str, Mapping[str, Any]]]:
        async with self._link.asking("read the event groups"):
            if not await self._link.text.exists(keys.EVENTS):
                return []
            found = await self._link.text.xinfo_groups(keys.EVENTS)
        names = [(str(group["name"]), group) for group in found]
        return [(name.removeprefix(_GROUP_PREFIX), group) for name, group in names if name.startswith(_GROUP_PREFIX)]

    async def _counts(self, name: str, group: Mapping[str, Any], numbers: Mapping[str, int]) -> EndpointCounts:
        text = self._link.text
        parked = max(0, numbers.get(f"parked:{name}", 0))
        pending, position = int(group["pending"]), str(group["last-delivered-id"])
        oldest: list[int] = []
        if pending:
            summary = await text.xpending(keys.EVENTS, group_of(name))
            if summary["min"]:  # all of it may have been acknowledged since
                oldest.append(_ms(summary["min"]))
        behind = await text.xrange(keys.EVENTS, min=f"({position}", count=1)
        oldest += [_ms(entry_id) for entry_id, _ in behind]
        oldest += [int(score) for _, score in await text.zrange(keys.parked_oldest(name), 0, 0, withscores=True)]
        lag = int(group.get("lag") or 0) if behind else 0
        return EndpointCounts(
            waiting=pending + max(lag, len(behind)) + parked,
            # Those that were not refused are due before the beginning of time (`Parked.behind`).
            parked_sessions=int(await text.zcount(keys.parked_due(name), 0, "+inf")),
            parked_events=parked,
            oldest_told_ms=min(oldest, default=None),
            dead=max(0, numbers.get(f"dead:{name}", 0)),
            dropped=numbers.get(f"dropped:{name}", 0),
            forgotten=numbers.get(f"forgotten:{name}", 0),
        )

    async def _read(self, endpoint: str, found: Sequence[tuple[str, Mapping[str, str]]]) -> list[Waiting]:
        """Read events; one that cannot be read, as a newer version wrote it, goes to the dead letters."""
        read = []
        for entry_id, fields in found:
            try:
                event = event_from_text(fields["event"])
            except (ValueError, KeyError, TypeError) as error:
                log.error("event cannot be read", entry_id=entry_id, endpoint=endpoint, error=type(error).__name__)
                text, reason = fields.get("event", ""), f"it cannot be read: {type(error).__name__}"
                await self._bury(endpoint, entry_id, letter_fields(text, endpoint, reason, 0, _ms(entry_id)))
                continue
            read.append(Waiting(entry_id=entry_id, event=event, told_ms=_ms(entry_id)))
        return read

    async def _bury(self, endpoint: str, entry_id: str, fields: Mapping[str, str]) -> None:
        flat = [part for field in fields.items() for part in field]
        await self._link.run(
            "bury_event",
            [keys.EVENTS, keys.DEAD_LETTERS, keys.EVENT_COUNTS],
            ["group", entry_id, endpoint, self.dead_letters_max, "", *flat],
        )

    async def _note_lost(self, endpoint: str, lost: int) -> None:
        """Count events that were taken by a process that is gone, and were lost from a full stream since."""
        if lost:
            async with self._link.asking("count lost events"):
                await self._link.text.hincrby(keys.EVENT_COUNTS, f"dropped:{endpoint}", lost)


def _ms(entry_id: str) -> int:
    return int(str(entry_id).partition("-")[0])
