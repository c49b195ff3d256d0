"""Profiles on this shard's disk that nobody needs here any more: they hold logins, so they do not stay.

Only what is provably not needed goes: the session was deleted or logged out on purpose (a tombstone says so), or it is
placed on another shard and a copy of it is stored. A record that is merely missing proves nothing: Redis may have lost
it.
"""

import asyncio
from functools import partial

import structlog

from daemon.core.loops import run_every
from daemon.sessions.record import SessionRecord
from shards.context import ShardContext
from shards.intake import Intake

log = structlog.get_logger()

_INTERVAL_S = 60.0


class Leftovers:
    """The sweep of one shard."""

    def __init__(self, shard: ShardContext, intake: Intake) -> None:
        self._shard = shard
        self._intake = intake

    async def run(self, stop: asyncio.Event) -> None:
        """Sweep at start and every minute."""
        await run_every(_INTERVAL_S, self.sweep, name="leftovers", stop=stop)

    async def sweep(self) -> None:
        """Remove the profiles that are not needed here.

        Raises:
            RedisUnavailableError: nobody knows; nothing was removed.
        """
        present = [i for i in self._shard.layout.session_ids() if self._intake.runner(i) is None]
        records = {record.session_id: record for record in await self._shard.registry.records.get_many(present)}
        ended = {grave.session_id for grave in await self._shard.registry.tombstones.all()} if present else set()
        for session_id in present:
            if not needless(records.get(session_id), here=self._shard.identity.name, ended=session_id in ended):
                continue
            if self._intake.runner(session_id) is None:
                remove = partial(self._shard.layout.remove_profile, session_id)
                await asyncio.get_running_loop().run_in_executor(self._shard.executor, remove)
                log.info("profile removed from this shard", session_id=session_id)


def needless(record: SessionRecord | None, *, here: str, ended: bool) -> bool:
    """Whether the profile of a session that does not run here may be removed; `ended`: it has a tombstone."""
    if record is None:
        return ended
    if record.shard == here:
        return False
    if not record.paired:
        return True
    return record.shard is not None and (record.hot_copy is not None or record.archive is not None)
