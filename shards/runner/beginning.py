"""The last look before a session begins, under its lease: what was read before the wait may be old by now."""

from dataclasses import dataclass

import structlog

from daemon.core.errors import SessionNotFoundError
from daemon.sessions.record import SessionRecord
from daemon.sessions.states import Desired
from shards.context import ShardContext

log = structlog.get_logger()

_UNSAVED_PAUSE_S = 5.0


@dataclass(frozen=True, kw_only=True)
class NotNow:
    """The session must not begin here now. `unsaved_on`: the shard that has its last state and has to store it."""

    pause_s: float = 0.0
    unsaved_on: str | None = None


async def look_again(shard: ShardContext, session_id: str, *, serial: int) -> SessionRecord | NotNow:
    """Return the record as it is now, or why the session must not begin here.

    Raises:
        RedisUnavailableError: nobody knows.
    """
    try:
        record = await shard.registry.records.get(session_id)
    except SessionNotFoundError:
        return NotNow()
    if record.desired is not Desired.RUNNING or record.serial != serial or record.shard != shard.identity.name:
        return NotNow()  # stopped, begun anew or moved while it waited
    if await _unsaved_elsewhere(shard, record):
        log.warning(
            "session waits: its last state is on another shard's disk and not stored yet",
            session_id=session_id,
            unsaved=record.unsaved,
        )
        return NotNow(pause_s=_UNSAVED_PAUSE_S, unsaved_on=record.unsaved)
    return record


async def _unsaved_elsewhere(shard: ShardContext, record: SessionRecord) -> bool:
    """Whether a living shard has a newer state on its disk than any store; one that is dead is not waited for."""
    if record.unsaved is None or record.unsaved == shard.identity.name or _last_is_in_redis(record):
        return False
    if record.rollback is not None and record.token <= record.rollback.until_token:
        return False  # what is there is of before the rollback, which set it aside
    return await shard.registry.shards.alive(record.unsaved)


def _last_is_in_redis(record: SessionRecord) -> bool:
    """Whether the last backup of the last holder did reach Redis, and only the archive is missing."""
    return record.hot_copy is not None and record.hot_copy.clean and record.hot_copy.token == record.token
