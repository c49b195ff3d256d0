"""The last known process of each shard, kept without a TTL: what an exit report is compared with once it is silent."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from daemon.core.clock import iso, parse_iso
from daemon.registry import keys
from daemon.registry.link import RedisLink
from daemon.registry.membership import Heartbeat


@dataclass(frozen=True, kw_only=True)
class Incarnation:
    """One process of a shard."""

    host: str
    incarnation: str
    started_at: datetime


def incarnation_of(beat: Heartbeat) -> Incarnation:
    """Return the process that wrote a heartbeat."""
    return Incarnation(host=beat.host, incarnation=beat.incarnation, started_at=beat.started_at)


class Incarnations:
    """The last processes in Redis, written by the leading coordinator when it sees a new one."""

    def __init__(self, link: RedisLink) -> None:
        self._link = link

    async def all(self) -> dict[str, Incarnation]:
        """Return the last known process of each shard.

        Raises:
            RedisUnavailableError: nobody knows.
        """
        async with self._link.asking("read the shards' processes"):
            found = await self._link.text.hgetall(keys.INCARNATIONS)
        return {shard: _parse(body) for shard, body in found.items()}

    async def note(self, beats: Iterable[Heartbeat]) -> None:
        """Write down the processes that beat.

        Raises:
            RedisUnavailableError: they may or may not be written.
        """
        bodies = {beat.name: _body(incarnation_of(beat)) for beat in beats}
        if bodies:
            async with self._link.asking("take the shards' processes"):
                await self._link.text.hset(keys.INCARNATIONS, mapping=bodies)

    async def forget(self, shard: str) -> None:
        """Forget a shard."""
        async with self._link.asking("forget a shard"):
            await self._link.text.hdel(keys.INCARNATIONS, shard)


def _body(known: Incarnation) -> str:
    return json.dumps([known.host, known.incarnation, iso(known.started_at)])


def _parse(body: str) -> Incarnation:
    host, incarnation, started_at = json.loads(body)
    return Incarnation(host=host, incarnation=incarnation, started_at=parse_iso(started_at))
