"""Retention: the archives of logins that were ended on purpose go once their grace period is over."""

from datetime import timedelta

import structlog

from daemon.coordinator.leader import Leadership
from daemon.core.clock import utc_now
from daemon.objectstore.archives import Archives
from daemon.registry.registry import Registry
from daemon.registry.tombstones import Tombstone

log = structlog.get_logger()


class Retention:
    """Removes what tombstones say, if this coordinator leads."""

    def __init__(self, registry: Registry, archives: Archives, leadership: Leadership, *, grace_s: float) -> None:
        self._registry = registry
        self._archives = archives
        self._leadership = leadership
        self._grace = timedelta(seconds=grace_s)

    async def cycle(self) -> None:
        """Remove the archives of every tombstone that is old enough."""
        if not self._leadership.leading:
            return
        for tombstone in await self._registry.tombstones.all():
            if utc_now() - tombstone.at >= self._grace:
                await self._bury(tombstone)

    async def _bury(self, tombstone: Tombstone) -> None:
        # Only what the tombstone voids: a session of the same id that was linked again has higher tokens.
        refs = await self._archives.newest_first(tombstone.workspace_id, tombstone.session_id)
        voided = [ref for ref in refs if ref.token <= tombstone.void_token]
        for ref in voided:
            await self._archives.delete(ref)
        await self._registry.tombstones.remove(tombstone)
        log.info("archives of an ended login removed", session_id=tombstone.session_id, archives=len(voided))
