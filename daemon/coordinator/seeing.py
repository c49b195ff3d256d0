"""Looking at the shards: heartbeats, exit reports and drains joined. Used by reconcile loop, placing and API."""

import asyncio

from daemon.core.errors import SessionNotFoundError
from daemon.registry.registry import Registry
from daemon.registry.seen import SeenShard
from daemon.sessions.record import SessionRecord
from daemon.sessions.states import Desired


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
    return name is not None and await registry.looks.lives(name)


def check_present(record: SessionRecord) -> None:
    """Do nothing if the session is there for callers.

    Raises:
        SessionNotFoundError: it is being deleted.
    """
    if record.desired is Desired.DELETED:
        raise SessionNotFoundError("no such session", session_id=record.session_id)
