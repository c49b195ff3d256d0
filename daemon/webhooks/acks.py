"""Acknowledging many deliveries in one call, so that a delivery does not wait for Redis."""

import asyncio
from collections.abc import Callable

import structlog

from daemon.core.errors import UnavailableError
from daemon.core.loops import first_done, sleep_or_stop
from daemon.registry.outbox import Outbox

log = structlog.get_logger()

_GATHER_S = 0.005
_AGAIN_S = 0.5
_BATCH = 500


class Acks:
    """Entry ids that are delivered and not acknowledged yet. A lost acknowledgement means a second delivery."""

    def __init__(self, outbox: Outbox, endpoint: str, let_go: Callable[[str], None]) -> None:
        """`let_go` is called with each entry id once it is acknowledged."""
        self._outbox = outbox
        self._endpoint = endpoint
        self._let_go = let_go
        self._waiting: list[str] = []
        self._more = asyncio.Event()

    def add(self, entry_id: str) -> None:
        """Acknowledge an entry soon."""
        self._waiting.append(entry_id)
        self._more.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Acknowledge until `stop` is set, and then once more what is left."""
        while not stop.is_set():
            await first_done(self._more.wait(), stop.wait())
            if not await self._flush():
                await sleep_or_stop(_AGAIN_S, stop)
            elif not stop.is_set():
                await asyncio.sleep(_GATHER_S)
        if not await self._flush():
            log.warning("webhook events are delivered again", endpoint=self._endpoint, events=len(self._waiting))

    async def _flush(self) -> bool:
        while self._waiting:
            batch = self._waiting[:_BATCH]
            try:
                await self._outbox.done(self._endpoint, batch)
            except UnavailableError:
                return False
            del self._waiting[: len(batch)]
            for entry_id in batch:
                self._let_go(entry_id)
        self._more.clear()
        return True
