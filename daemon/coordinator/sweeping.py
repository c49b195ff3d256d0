"""Sweeping: what Redis must keep for a time and may not drop by itself. The leader's work, beside stores that hang."""

import asyncio

from daemon.coordinator.leader import Leadership
from daemon.registry.registry import Registry


class Sweeping:
    """Removes idempotency keys that have expired, if this coordinator leads, until `stop` is set."""

    def __init__(self, registry: Registry, leadership: Leadership, stop: asyncio.Event) -> None:
        self._registry = registry
        self._leadership = leadership
        self._stop = stop

    async def cycle(self) -> None:
        """Remove what is due.

        Raises:
            RedisUnavailableError: the rest is removed by a later call.
        """
        while self._leadership.leading and not self._stop.is_set():
            if not await self._registry.sends.sweep():
                return
