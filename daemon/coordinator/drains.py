"""Draining shards on request: any coordinator writes the wish, the leading one acts on it."""

import structlog

from daemon.coordinator.seeing import see_shards
from daemon.core.errors import BlazzError, ShardNotFoundError
from daemon.registry.registry import Registry
from daemon.registry.seen import SeenShard

log = structlog.get_logger()


async def find_shard(registry: Registry, name: str) -> SeenShard:
    """Return one shard.

    Raises:
        ShardNotFoundError: none of this name has ever been seen, or it was forgotten.
    """
    for shard in await see_shards(registry):
        if shard.name == name:
            return shard
    raise ShardNotFoundError("no such shard", hint="GET /api/whatsapp/shards lists them", shard=name)


async def begin_drain(registry: Registry, name: str) -> SeenShard:
    """Have a shard drained; one that is being drained already goes on as it is.

    Raises:
        ShardNotFoundError: there is none.
    """
    if (await find_shard(registry, name)).drain is None:
        counts = await registry.records.placed_counts([name])
        await registry.drains.begin(name, total=counts[name])
        log.info("shard is to be drained", shard=name, sessions=counts[name])
    await _wake(registry, name)
    return await find_shard(registry, name)


async def end_drain(registry: Registry, name: str) -> SeenShard:
    """Have a shard take sessions again; what it has given away stays where it is.

    Raises:
        ShardNotFoundError: there is none.
    """
    await find_shard(registry, name)
    if await registry.drains.end(name):
        log.info("shard takes sessions again", shard=name)
    await _wake(registry, name)
    return await find_shard(registry, name)


async def _wake(registry: Registry, name: str) -> None:
    try:
        await registry.wakes.wake("drain", shard=name)
    except BlazzError as error:
        log.debug("wake lost", shard=name, code=error.code)
