"""Drains: which shards are to be emptied, and how far that is. A drain lasts until somebody ends it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from daemon.core.clock import iso, parse_iso, utc_now
from daemon.registry import keys
from daemon.registry.link import RedisLink


@dataclass(frozen=True, kw_only=True)
class DrainCount:
    """How far a drain is, as the leading coordinator saw it last."""

    left: int
    """Sessions still placed on the shard."""
    moving: int
    """Sessions that it is handing over, or that are not up at their new place yet."""
    blocked_reason: str | None = None
    """Why none is being handed over, as a stable word: `no_open_shard`, `shards_full`, `unsaved_state`."""


@dataclass(frozen=True, kw_only=True)
class Drain:
    """One drain. `count` is None until the leader has looked at it."""

    since: datetime
    total: int
    """Sessions placed on the shard when it began."""
    count: DrainCount | None = None


class Drains:
    """Drains in Redis: the wish in one hash, the leader's counts in another, so that neither overwrites the other."""

    def __init__(self, link: RedisLink) -> None:
        self._link = link

    async def begin(self, shard: str, *, total: int) -> Drain:
        """Have a shard drained; one that is being drained already goes on as it is.

        Raises:
            RedisUnavailableError: it may or may not be drained; ask again.
        """
        body = json.dumps({"since": iso(utc_now()), "total": total})
        async with self._link.asking("begin a drain"):
            await self._link.text.hsetnx(keys.DRAINS, shard, body)
        return (await self.all()).get(shard) or _parse(body, None)

    async def end(self, shard: str) -> bool:
        """Have a shard take sessions again; False if it was not being drained."""
        async with self._link.asking("end a drain"):
            return bool(await self._link.text.hdel(keys.DRAINS, shard))

    async def all(self) -> dict[str, Drain]:
        """Return the drains by shard.

        Raises:
            RedisUnavailableError: nobody knows.
        """
        async with self._link.asking("read the drains"):
            wishes = await self._link.text.hgetall(keys.DRAINS)
            counts = await self._link.text.hgetall(keys.DRAIN_COUNTS) if wishes else {}
        return {shard: _parse(body, counts.get(shard)) for shard, body in wishes.items()}

    async def note(self, drains: Mapping[str, Drain]) -> None:
        """Write down how far drains are.

        Raises:
            RedisUnavailableError: what was written before stands.
        """
        bodies = {shard: _count_body(drain, drain.count) for shard, drain in drains.items() if drain.count is not None}
        if bodies:
            async with self._link.asking("take the state of a drain"):
                await self._link.text.hset(keys.DRAIN_COUNTS, mapping=bodies)


def _count_body(drain: Drain, count: DrainCount) -> str:
    return json.dumps(
        {
            "since": iso(drain.since),
            "left": count.left,
            "moving": count.moving,
            "blocked_reason": count.blocked_reason,
        }
    )


def _parse(body: str, counted: str | None) -> Drain:
    raw = json.loads(body)
    seen = json.loads(counted) if counted else {}
    count = None
    if seen.get("since") == raw["since"]:  # else it is of an earlier drain of this shard
        count = DrainCount(left=seen["left"], moving=seen["moving"], blocked_reason=seen["blocked_reason"])
    return Drain(since=parse_iso(raw["since"]), total=raw["total"], count=count)
