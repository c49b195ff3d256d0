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
from shards.profile.marker import read_mark

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
            left = await self._left_clean(session_id)
            here = self._shard.identity.name
            if not needless(records.get(session_id), here=here, ended=session_id in ended, left=left):
                continue
            if self._intake.runner(session_id) is None:
                remove = partial(self._shard.layout.remove_profile, session_id)
                await asyncio.get_running_loop().run_in_executor(self._shard.executor, remove)
                log.info("profile removed from this shard", session_id=session_id)

    async def _left_clean(self, session_id: str) -> tuple[int, int] | None:
        read = partial(read_mark, self._shard.layout.profile_dir(session_id))
        left, _ = await asyncio.get_running_loop().run_in_executor(self._shard.executor, read)
        return left.order if left else None


def needless(record: SessionRecord | None, *, here: str, ended: bool, left: tuple[int, int] | None = None) -> bool:
    """Whether the profile of a session that does not run here may be removed; `ended`: it has a tombstone.

    `left` is the `(token, generation)` that a clean exit left here: if no store has anything as new, it stays.
    """
    if record is None:
        return ended
    if record.shard == here:
        return False
    if not record.paired:
        return left is None
    stored = [facts.order for facts in (record.hot_copy, record.archive) if facts is not None]
    return record.shard is not None and bool(stored) and (left is None or left <= max(stored))
