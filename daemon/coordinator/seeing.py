"""Looking at the shards: heartbeats, exit reports and drains joined. Used by reconcile loop, placing and API."""

import asyncio

from daemon.registry.registry import Registry
from daemon.registry.seen import SeenShard


async def see_shards(registry: Registry) -> tuple[SeenShard, ...]:
    """Return every shard ever seen, by name.

    Raises:
        RedisUnavailableError: nobody knows.
    """
    views, drains, last = await asyncio.gather(
        registry.shards.all(), registry.drains.all(), registry.incarnations.all()
    )
    exits = await registry.exits.all([view.name for view in views])
    return tuple(
        SeenShard(
            name=view.name,
            heartbeat=view.heartbeat,
            exit=exits.get(view.name),
            last=last.get(view.name),
            drain=drains.get(view.name),
        )
        for view in views
    )


async def lives(registry: Registry, name: str | None) -> bool:
    """Whether a shard lives, as far as anybody knows; cheap enough to be asked for each command.

    Raises:
        RedisUnavailableError: nobody knows.
    """
    if name is None or not await registry.shards.alive(name):
        return False
    if not await registry.exits.all([name]):
        return True
    return any(shard.alive for shard in await see_shards(registry) if shard.name == name)
