"""Storing what could not be stored when a session stopped: its profile is still here, and newer than every copy.

Only sessions at rest that were left clean here, and that nobody has run since. Their lease is taken meanwhile, so that
they cannot be started in between.
"""

import asyncio
from collections.abc import Callable, Mapping
from functools import partial

import structlog

from daemon.core.clock import mono_s
from daemon.core.errors import ConflictError, NotFoundError, SnapshotError
from daemon.core.logs import bind_ids
from daemon.core.loops import run_every
from daemon.registry.leases import Lease
from daemon.sessions.record import SessionRecord
from daemon.sessions.states import Desired
from shards.backup.copier import Copier
from shards.backup.keeper import BackupKeeper
from shards.context import ShardContext
from shards.intake import Intake
from shards.profile.marker import LeftClean, read_left_clean
from shards.publisher import Publisher

log = structlog.get_logger()

_INTERVAL_S = 20.0
_DRAIN_EVENTS_S = 5.0


class Unsaved:
    """The profiles of one shard whose last backup was not stored."""

    def __init__(self, shard: ShardContext, intake: Intake) -> None:
        self._shard = shard
        self._intake = intake

    async def run(self, stop: asyncio.Event) -> None:
        """Look again and again."""
        await run_every(_INTERVAL_S, self.sweep, name="unsaved", stop=stop)

    async def sweep(self) -> None:
        """Store what is not stored yet.

        Raises:
            RedisUnavailableError: nobody knows; nothing was changed.
        """
        present = [i for i in self._shard.layout.session_ids() if self._intake.runner(i) is None]
        archives = self._shard.settings.backup.enabled
        due = []
        for record in await self._shard.registry.records.get_many(present):
            left = await self._left_clean(record.session_id)
            if left is not None and is_unsaved(record, left.order, archives=archives):
                due.append((record, left))
        # Asked first, so that a store that is away costs one call and not one for each session.
        if not due or (archives and not (await self._shard.archives.health()).connected):
            return
        for record, left in due:
            if self._intake.runner(record.session_id) is None:
                await self._store(record, left)

    async def _left_clean(self, session_id: str) -> LeftClean | None:
        read = partial(read_left_clean, self._shard.layout.profile_dir(session_id))
        return await asyncio.get_running_loop().run_in_executor(self._shard.executor, read)

    async def _store(self, record: SessionRecord, left: LeftClean) -> None:
        shard, asked_mono_s = self._shard, mono_s()
        try:
            lease = await shard.registry.leases.acquire(
                record.session_id, shard.identity.holder, floor=left.token, dead_prefix=shard.identity.dead_prefix
            )
        except ConflictError:
            return  # it runs somewhere
        work = asyncio.create_task(self._store_held(lease, left), name=f"unsaved {record.session_id}")
        shard.keeper.hold(lease, asked_mono_s=asked_mono_s, fence=_cancelling(work))
        try:
            await asyncio.wait([work])
        finally:
            work.cancel()
            await asyncio.shield(shard.keeper.release(lease))
        if not work.cancelled() and (error := work.exception()) is not None:
            raise error

    async def _store_held(self, lease: Lease, left: LeftClean) -> None:
        """Look again now that nobody else can run it, and store."""
        shard = self._shard
        bind_ids(session_id=lease.session_id)
        try:
            record = await shard.registry.records.get(lease.session_id)
            if await self._left_clean(lease.session_id) != left:
                return
            if not is_unsaved(record, left.order, archives=shard.settings.backup.enabled):
                return
            copier = Copier(shard, record, lease, shard.layout.profile_dir(lease.session_id))
            copier.begin_above(left.order)
            publisher = Publisher(shard.registry.events, record)
            telling = asyncio.create_task(publisher.run())
            try:
                keeper = BackupKeeper(shard.settings.backup, copier, publisher, overlay=_no_page)
                if await keeper.final(clean=True, overlay={}):
                    log.info("last backup stored after all", token=lease.token)
                await publisher.drained(timeout_s=_DRAIN_EVENTS_S)
            finally:
                telling.cancel()
        except (ConflictError, NotFoundError) as error:
            log.info("last backup left to others", code=error.code)


def is_unsaved(record: SessionRecord, left: tuple[int, int], *, archives: bool) -> bool:
    """Whether the profile that was left clean as `left` is at rest and newer than what the stores have."""
    if record.desired is not Desired.STOPPED or left[0] <= record.void_token or left[0] < record.token:
        return False
    stored = record.archive if archives else record.hot_copy
    return stored is None or stored.order < left


def _cancelling(work: asyncio.Task[None]) -> Callable[[str], None]:
    def fence(_: str) -> None:
        work.cancel()

    return fence


async def _no_page() -> Mapping[str, bytes]:
    raise SnapshotError("no page is open")
