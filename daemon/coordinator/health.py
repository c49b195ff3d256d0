"""Whether Redis and the object store answer, as the health routes show it."""

from dataclasses import dataclass

from daemon.core.errors import BlazzError
from daemon.objectstore.archives import Archives
from daemon.objectstore.check import StoreHealth
from daemon.registry.registry import Registry


@dataclass(frozen=True, kw_only=True)
class RedisHealth:
    """What Redis answered."""

    connected: bool
    latency_ms: float | None = None
    error: str | None = None


class Health:
    """Asks the two stores."""

    def __init__(self, registry: Registry, archives: Archives) -> None:
        self._registry = registry
        self._archives = archives

    async def redis(self) -> RedisHealth:
        """Ask Redis; never raises for a Redis that does not answer."""
        try:
            return RedisHealth(connected=True, latency_ms=round(await self._registry.link.ping_ms(), 2))
        except BlazzError as error:
            return RedisHealth(connected=False, error=error.message)

    async def object_store(self) -> StoreHealth:
        """Ask the object store for one name; never raises for one that does not answer or refuses."""
        return await self._archives.health()
