"""Leader election: of several coordinators one reconciles. Losing it only delays work, as every step is repeatable.

A coordinator that was stopped, or whose Redis hangs, stops leading by its own clock, before another one begins.
"""

import asyncio
import contextlib

import structlog

from daemon.core.clock import boot_s
from daemon.core.errors import BlazzError
from daemon.core.loops import first_done
from daemon.core.timing import LEADER_MARGIN, LEADER_TTL_MS
from daemon.registry import keys
from daemon.registry.registry import Registry

log = structlog.get_logger()

_LOOK_S = 0.5


class Leadership:
    """This coordinator's claim to lead. `who` must differ from that of every other process."""

    def __init__(self, registry: Registry, who: str, *, ttl_ms: int | None = None) -> None:
        self._registry = registry
        self._who = who
        self._ttl_ms = ttl_ms or LEADER_TTL_MS
        self._changed = asyncio.Event()
        self._leads = False
        self._until_boot_s = 0.0

    @property
    def leading(self) -> bool:
        """Whether this coordinator leads now. Its claim counts from before it was asked for, as a lease does."""
        return self._leads and boot_s() < self._until_boot_s

    async def keep(self) -> bool:
        """Become or stay leader; False when another one leads.

        Raises:
            RedisUnavailableError: nobody knows; do nothing this time.
        """
        until_boot_s = boot_s() + self._ttl_ms / 1000 * (1 - LEADER_MARGIN)
        try:
            leading = bool(await self._registry.link.run("keep_leader", [keys.LEADER], [self._who, self._ttl_ms]))
        except BlazzError:
            self._become(False)
            raise
        self._until_boot_s = until_boot_s
        self._become(leading)
        return self.leading

    async def give_up(self) -> None:
        """Let another coordinator lead at once. Call it last: whoever still works as the leader must have ended."""
        self._become(False)
        try:
            await self._registry.link.run("release_leader", [keys.LEADER], [self._who])
        except BlazzError as error:
            log.warning("leadership not given up, it runs out by itself", code=error.code)

    def _become(self, leading: bool) -> None:
        if leading is not self._leads:
            self._leads = leading
            log.info("leadership changed", leading=leading, coordinator=self._who)
            self._changed.set()

    async def wait(self, *, leading: bool, stop: asyncio.Event) -> None:
        """Wait until this coordinator leads, or does not; or until `stop` is set."""
        while self.leading is not leading and not stop.is_set():
            self._changed.clear()
            with contextlib.suppress(TimeoutError):  # no event tells that the claim ran out
                async with asyncio.timeout(_LOOK_S):
                    await first_done(self._changed.wait(), stop.wait())
