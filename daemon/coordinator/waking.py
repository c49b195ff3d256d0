"""Listening for wakes: whoever knows that something changed has the leader look at once instead of at its next tick."""

import asyncio
from collections.abc import Callable

import structlog

from daemon.coordinator.leader import Leadership
from daemon.core.errors import RedisUnavailableError
from daemon.core.loops import first_done
from daemon.registry.wakes import Wakes

log = structlog.get_logger()

_BLOCK_MS = 5000
_GATHER_S = 0.1
_RETRY_S = 1.0


class Waking:
    """The stream of wakes, followed while this coordinator leads."""

    def __init__(self, wakes: Wakes, leadership: Leadership, hurry: Callable[[], None]) -> None:
        """`hurry` is called when there was a wake, or one may have been missed."""
        self._wakes = wakes
        self._leadership = leadership
        self._hurry = hurry

    async def run(self, stop: asyncio.Event) -> None:
        """Listen until `stop` is set."""
        while not stop.is_set():
            await self._leadership.wait(leading=True, stop=stop)
            if not stop.is_set():
                await first_done(self._follow(), self._leadership.wait(leading=False, stop=stop))

    async def _follow(self) -> None:
        last_id, failing = "$", False
        while True:
            try:
                last_id, woken = await self._wakes.wait(last_id, _BLOCK_MS)
            except RedisUnavailableError as error:
                if not failing:
                    log.warning("wakes cannot be read, changes are seen at the next look", code=error.code)
                failing = True
                await asyncio.sleep(_RETRY_S)
                continue
            if woken or failing:
                log.debug("woken", why=sorted({wake.why for wake in woken}))
                self._hurry()
                # Wakes come in crowds, as when many sessions are stopped: one look is enough for all of them.
                await asyncio.sleep(_GATHER_S)
            failing = False
