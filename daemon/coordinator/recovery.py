"""Recovery: sessions that Redis lost are begun again. The leader's work.

Once in each epoch of Redis (see daemon/registry/epoch.py), and not before every holder that is alive has written its
record again. What cannot be asked is asked again.
"""

import asyncio

import structlog

from daemon.coordinator.leader import Leadership
from daemon.coordinator.lost import LostSessions
from daemon.core.clock import mono_s
from daemon.core.loops import first_done
from daemon.core.settings import Settings
from daemon.platform.database import PlatformDatabase
from daemon.registry.epoch import Epoch
from daemon.registry.registry import Registry
from daemon.sessions.known import KnownSession

log = structlog.get_logger()


class Recovery:
    """Looks whether Redis is a new one, and fills it; ends soon after `stop` is set."""

    def __init__(
        self,
        registry: Registry,
        lost: LostSessions,
        platform: PlatformDatabase | None,
        leadership: Leadership,
        settings: Settings,
        stop: asyncio.Event,
    ) -> None:
        """`platform` says which sessions should run; None: whatever the bucket has and nobody stopped."""
        self._registry = registry
        self._lost = lost
        self._platform = platform
        self._leadership = leadership
        self._on = settings.coordinator.recover == "on"
        self._wait_ms = settings.shard.lease_ttl_ms
        self._stop = stop

    async def cycle(self) -> None:
        """Recover, if this coordinator leads and it has not been done in this epoch.

        Raises:
            UnavailableError: a store or the platform; what was written stays, and the next call begins anew.
        """
        if not self._on or not self._leadership.leading:
            return
        epoch = await self._registry.epochs.read()
        if await self._registry.epochs.recovered() == epoch.epoch_id:
            return
        if epoch.age_ms < self._wait_ms:
            return  # holders that are alive write their records again meanwhile
        await first_done(self._recover(epoch), self._stopped())

    async def _stopped(self) -> None:
        await self._stop.wait()

    async def _recover(self, epoch: Epoch) -> None:
        began_mono_s = mono_s()
        log.info("Redis is new, restarted or fell back: looking in the bucket for sessions that it does not know")
        tally = await self._lost.begin_all(await self._listed())
        await self._registry.epochs.set_recovered(epoch)
        log.info(
            "recovery done",
            looked_at=tally.looked_at,
            begun=len(tally.begun),
            kept_stopped=tally.stopped,
            tombstones=tally.tombstones,
            took_s=round(mono_s() - began_mono_s, 1),
        )

    async def _listed(self) -> dict[str, KnownSession] | None:
        """Return what the platform says should run, None without a platform."""
        if self._platform is None:
            return None
        return {known.session_id: known for known in await self._platform.connected_sessions()}
