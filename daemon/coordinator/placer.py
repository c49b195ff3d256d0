"""Placing sessions on shards: asks the ring, writes the placement, wakes the shard. Used by API and reconcile loop."""

from collections.abc import Mapping

import structlog

from daemon.core.errors import BlazzError
from daemon.placement.plan import Move, MoveWhy
from daemon.placement.ring import Ring, ShardLoad, choose
from daemon.registry.membership import ShardView
from daemon.registry.registry import Registry
from daemon.sessions.commands import CommandKind
from daemon.sessions.record import SessionRecord

log = structlog.get_logger()


class Placer:
    """Makes placements."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    async def loads(self, shards: tuple[ShardView, ...]) -> dict[str, ShardLoad]:
        """Return what the living shards carry, by the placements made."""
        return loads_of(
            shards, await self._registry.records.placed_counts([shard.name for shard in shards if shard.alive])
        )

    async def place_new(self, record: SessionRecord) -> SessionRecord:
        """Place one session if it has no living shard; without one it stays `pending` for the reconcile loop."""
        shards = await self._registry.shards.all()
        if any(shard.name == record.shard for shard in shards if shard.alive):
            await self.wake(record.shard)
            return record
        if record.shard is not None:
            return record  # its shard is gone: the reconcile loop knows whether its grace time is over
        loads = await self.loads(shards)
        to = choose(record.session_id, Ring(loads.values()), loads)
        if to is not None:
            await self.apply(Move(session_id=record.session_id, before=record.shard, to=to, why=MoveWhy.NEW))
        return await self._registry.records.get(record.session_id)

    async def apply(self, move: Move) -> None:
        """Record one placement and tell the shard; safe to repeat."""
        await self._registry.records.place(move.session_id, move.to, move.before)
        log.info("session placed", session_id=move.session_id, shard=move.to, before=move.before)
        await self.wake(move.to)

    async def wake(self, shard: str | None) -> None:
        """Ask a shard to look at its placements now; if this is lost, its next tick does the same."""
        if shard is None:
            return
        try:
            await self._registry.commands.give(shard, CommandKind.WAKE, "", {})
        except BlazzError as error:
            log.debug("wake lost", shard=shard, code=error.code)


def loads_of(shards: tuple[ShardView, ...], counts: Mapping[str, int]) -> dict[str, ShardLoad]:
    """Return the loads of the living shards, given how many sessions are placed on each."""
    return {
        shard.name: ShardLoad(name=shard.name, sessions=counts[shard.name], capacity=shard.heartbeat.capacity)
        for shard in shards
        if shard.heartbeat is not None
    }
