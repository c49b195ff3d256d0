"""Which shards there are and which of them live, by heartbeats with a TTL."""

import json
from dataclasses import asdict, dataclass
from datetime import datetime

from daemon.core.clock import iso, parse_iso
from daemon.registry import keys
from daemon.registry.link import RedisLink, redis_errors


@dataclass(frozen=True, kw_only=True)
class Heartbeat:
    """What a shard says of itself, written by its own event loop."""

    name: str
    host: str
    pid: int
    incarnation: str
    """Differs for every process that ever had this name."""
    started_at: datetime
    at: datetime
    sessions: int
    capacity: int
    loop_lag_ms: float
    rss_bytes: int


@dataclass(frozen=True, kw_only=True)
class ShardView:
    """One shard as the coordinator sees it; `heartbeat` is None for one that is gone."""

    name: str
    heartbeat: Heartbeat | None

    @property
    def alive(self) -> bool:
        """Whether its heartbeat is there."""
        return self.heartbeat is not None


class Membership:
    """Heartbeats in Redis."""

    def __init__(self, link: RedisLink) -> None:
        self._link = link

    async def beat(self, heartbeat: Heartbeat, *, ttl_ms: int) -> None:
        """Show that the shard lives, for the next `ttl_ms`."""
        body = json.dumps(
            asdict(heartbeat) | {"started_at": iso(heartbeat.started_at), "at": iso(heartbeat.at)},
            separators=(",", ":"),
        )
        with redis_errors("take a heartbeat"):
            await self._link.text.sadd(keys.SHARDS, heartbeat.name)
            await self._link.text.set(keys.heartbeat(heartbeat.name), body, px=ttl_ms)

    async def leave(self, name: str) -> None:
        """Say that the shard stopped on purpose."""
        with redis_errors("take a farewell"):
            await self._link.text.delete(keys.heartbeat(name))

    async def all(self) -> tuple[ShardView, ...]:
        """Return every shard ever seen, by name."""
        with redis_errors("read the shards"):
            names = sorted(await self._link.text.smembers(keys.SHARDS))
            pipe = self._link.text.pipeline(transaction=False)
            for name in names:
                pipe.get(keys.heartbeat(name))
            answers = await pipe.execute() if names else []
        return tuple(
            ShardView(name=name, heartbeat=_parse(body) if body else None)
            for name, body in zip(names, answers, strict=True)
        )

    async def alive(self, name: str) -> bool:
        """Whether this shard's heartbeat is there."""
        with redis_errors("read a heartbeat"):
            return bool(await self._link.text.exists(keys.heartbeat(name)))

    async def remove(self, name: str) -> None:
        """Forget a shard that is gone for good and has nothing placed on it."""
        with redis_errors("forget a shard"):
            await self._link.text.srem(keys.SHARDS, name)


def _parse(body: str) -> Heartbeat:
    raw = json.loads(body)
    return Heartbeat(**(raw | {"started_at": parse_iso(raw["started_at"]), "at": parse_iso(raw["at"])}))
