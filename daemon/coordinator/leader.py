"""Leader election: of several coordinators one reconciles. Losing it only delays work, as every step is repeatable."""

import asyncio

import structlog

from daemon.core.errors import BlazzError
from daemon.core.loops import first_done
from daemon.core.timing import LEADER_TTL_MS
from daemon.registry import keys
from daemon.registry.registry import Registry

log = structlog.get_logger()


class Leadership:
    """This coordinator's claim to lead. `who` must differ from that of every other process."""

    def __init__(self, registry: Registry, who: str) -> None:
        self._registry = registry
        self._who = who
        self._changed = asyncio.Event()
        self.leading = False

    async def keep(self) -> bool:
        """Become or stay leader; False when another one leads.

        Raises:
            RedisUnavailableError: nobody knows; do nothing this time.
        """
        try:
            leading = bool(await self._registry.link.run("keep_leader", [keys.LEADER], [self._who, LEADER_TTL_MS]))
        except BlazzError:
            self._become(False)
            raise
        self._become(leading)
        return leading

    async def give_up(self) -> None:
        """Let another coordinator lead at once. Call it last: whoever still works as the leader must have ended."""
        self._become(False)
        try:
            await self._registry.link.run("release_leader", [keys.LEADER], [self._who])
        except BlazzError as error:
            log.warning("leadership not given up, it runs out by itself", code=error.code)

    def _become(self, leading: bool) -> None:
        if leading is not self.leading:
            self.leading = leading
            log.info("leadership changed", leading=leading, coordinator=self._who)
            self._changed.set()

    async def wait(self, *, leading: bool, stop: asyncio.Event) -> None:
        """Wait until this coordinator leads, or does not; or until `stop` is set."""
        while self.leading is not leading and not stop.is_set():
            self._changed.clear()
            await first_done(self._changed.wait(), stop.wait())
