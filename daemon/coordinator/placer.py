"""Placing one session as soon as somebody asks for it, and telling shards to look. The reconcile loop does the rest."""

import structlog

from daemon.coordinator.seeing import see_shards
from daemon.coordinator.standing import stands_of
from daemon.coordinator.steps import loads_of
from daemon.core.clock import utc_now
from daemon.core.errors import BlazzError
from daemon.placement.ring import Ring, choose
from daemon.registry.placements import Placement
from daemon.registry.registry import Registry
from daemon.sessions.commands import CommandKind
from daemon.sessions.record import SessionRecord

log = structlog.get_logger()


class Placer:
    """Places single sessions."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    async def place_new(self, record: SessionRecord) -> SessionRecord:
        """Place a session that has no shard, and wake the shard of one that has; else the reconcile loop sees to it."""
        shards = await see_shards(self._registry)
        if record.shard is not None:
            present = next((shard for shard in shards if shard.name == record.shard), None)
            if present is not None and present.alive and present.drain is None:
                await self.wake(record.shard)
            else:
                await self.hurry(record.session_id)  # it knows whether that shard is waited for
            return record
        stands = stands_of(shards, {}, grace_s=0.0, now=utc_now()).shards
        counts = await self._registry.records.placed_counts([name for name, stand in stands.items() if stand.alive])
        loads = loads_of(stands.values(), counts)
        to = choose(record.session_id, Ring(loads.values()), loads, prefer=record.unsaved)
        if to is None:
            await self.hurry(record.session_id)
            return record
        placement = Placement(session_id=record.session_id, before=None, to=to)
        if await self._registry.records.place_many([placement]):
            log.info("session placed", session_id=record.session_id, shard=to, why="new")
            await self.wake(to)
        return await self._registry.records.get(record.session_id)

    async def wake(self, shard: str | None) -> None:
        """Ask a shard to look at its placements now; if this is lost, its next tick does the same."""
        if shard is None:
            return
        try:
            await self._registry.commands.give(shard, CommandKind.WAKE, "", {})
        except BlazzError as error:
            log.debug("wake lost", shard=shard, code=error.code)

    async def hurry(self, session_id: str) -> None:
        """Ask the leading coordinator to look now; if this is lost, its next full look does the same."""
        try:
            await self._registry.wakes.wake("wish", session_id)
        except BlazzError as error:
            log.debug("wake lost", session_id=session_id, code=error.code)
