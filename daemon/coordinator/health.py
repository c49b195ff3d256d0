"""Whether Redis and the object store answer, as the health routes show it."""

from dataclasses import dataclass

from daemon.core.errors import BlazzError
from daemon.objectstore.archives import Archives
from daemon.registry.registry import Registry


@dataclass(frozen=True, kw_only=True)
class RedisHealth:
    """What Redis answered."""

    connected: bool
    latency_ms: float | None = None
    error: str | None = None


@dataclass(frozen=True, kw_only=True)
class ObjectStoreHealth:
    """What the object store answered; `sample_object` is the name of one object, None in an empty bucket."""

    bucket: str
    connected: bool
    sample_object: str | None = None
    error: str | None = None


class Health:
    """Asks the two stores."""

    def __init__(self, registry: Registry, archives: Archives, bucket: str) -> None:
        self._registry = registry
        self._archives = archives
        self._bucket = bucket

    async def redis(self) -> RedisHealth:
        """Ask Redis; never raises for a Redis that does not answer."""
        try:
            return RedisHealth(connected=True, latency_ms=round(await self._registry.link.ping_ms(), 2))
        except BlazzError as error:
            return RedisHealth(connected=False, error=error.message)

    async def object_store(self) -> ObjectStoreHealth:
        """Ask the object store for one name; never raises for one that does not answer or refuses."""
        try:
            sample = await self._archives.sample_object()
        except BlazzError as error:
            return ObjectStoreHealth(bucket=self._bucket, connected=False, error=error.message)
        return ObjectStoreHealth(bucket=self._bucket, connected=True, sample_object=sample)
