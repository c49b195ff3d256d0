"""Which shards there are and which of them live, by heartbeats with a TTL."""

import json
from dataclasses import asdict, dataclass, fields
from datetime import datetime

from daemon.core.clock import iso, parse_iso
from daemon.registry import keys
from daemon.registry.link import RedisLink


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
    """Sessions that run, those that start or wait to start included."""
    capacity: int
    """How many it can hold on its host; the same for the life of the process."""
    loop_lag_ms: float
    """Largest delay of its event loop since the last heartbeat."""
    rss_bytes: int
    """Memory of the process itself, without its Chromiums."""
    cpu_percent: float = 0.0
    """CPU time of the process itself since the last heartbeat; 100 is one CPU."""
    starting: int = 0
    """Sessions that are starting."""
    waiting: int = 0
    """Sessions that wait to start."""
    stopping: bool = False
    """Told to stop: place nothing on it."""
    full: bool = False
    """Its host has no memory for one more session: place nothing new on it."""
    host_cpus: float = 0.0
    """CPUs that the host, or the container, has for all its shards; 0 if not known."""
    host_memory_bytes: int = 0
    """Memory of the host, or the limit of the container; 0 if not known."""
    host_available_bytes: int = 0
    """What of that can still be had."""


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
        async with self._link.asking("take a heartbeat"):
            # No transaction: the two keys may be on different servers of a Redis Cluster. Both are safe to repeat.
            pipe = self._link.text.pipeline(transaction=False)
            pipe.sadd(keys.SHARDS, heartbeat.name)
            pipe.set(keys.heartbeat(heartbeat.name), body, px=ttl_ms)
            await pipe.execute()

    async def leave(self, name: str) -> None:
        """Say that the shard stopped on purpose."""
        async with self._link.asking("take a farewell"):
            await self._link.text.delete(keys.heartbeat(name))

    async def all(self) -> tuple[ShardView, ...]:
        """Return every shard ever seen, by name."""
        async with self._link.asking("read the shards"):
            names = sorted(await self._link.text.smembers(keys.SHARDS))
            pipe = self._link.text.pipeline(transaction=False)
            for name in names:
                pipe.get(keys.heartbeat(name))
            answers = await pipe.execute() if names else []
        return tuple(
            ShardView(name=name, heartbeat=heartbeat_from_text(body) if body else None)
            for name, body in zip(names, answers, strict=True)
        )

    async def alive(self, name: str) -> bool:
        """Whether this shard's heartbeat is there."""
        async with self._link.asking("read a heartbeat"):
            return bool(await self._link.text.exists(keys.heartbeat(name)))

    async def remove(self, name: str) -> None:
        """Forget a shard that is gone for good and has nothing placed on it."""
        async with self._link.asking("forget a shard"):
            await self._link.text.srem(keys.SHARDS, name)


_FIELDS = frozenset(field.name for field in fields(Heartbeat))


def heartbeat_from_text(body: str) -> Heartbeat:
    """Return a heartbeat as it is stored."""
    # Shards of older and newer versions beat as well: what they do not say has a default, what we do not know is left.
    raw = {name: value for name, value in json.loads(body).items() if name in _FIELDS}
    return Heartbeat(**(raw | {"started_at": parse_iso(raw["started_at"]), "at": parse_iso(raw["at"])}))
