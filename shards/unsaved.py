"""Storing what could not be stored when a session stopped: its profile is still here, and newer than every copy.

Only sessions at rest, or handed over, that were left clean here, and that nobody has run since. Their lease is taken
meanwhile, so that they cannot be started in between. What a killed Chromium left comes after every stored copy: then
the record is told that there is nothing to wait for, and only if there is no copy at all, that is stored.
"""

import asyncio
from collections.abc import Callable, Mapping
from functools import partial

import structlog

from daemon.core.clock import mono_s
from daemon.core.errors import ConflictError, NotFoundError, SnapshotError, UnavailableError
from daemon.core.logs import bind_ids
from daemon.core.loops import cancel_all, first_done, run_every
from daemon.registry.leases import Lease
from daemon.sessions.copies import is_set_aside
from daemon.sessions.record import SessionRecord
from daemon.sessions.states import Desired
from shards.backup.copier import Copier
from shards.backup.keeper import BackupKeeper
from shards.backup.policy import Outage
from shards.context import ShardContext
from shards.granting import take_lease
from shards.intake import Intake
from shards.profile.files import holds_login
from shards.profile.marker import LeftClean, read_left_clean
from shards.publisher import Publisher

log = structlog.get_logger()

_INTERVAL_S = 20.0
_PARALLEL = 4
_MAX_PAUSE_S = 3600.0
_DRAIN_EVENTS_S = 5.0


class Unsaved:
    """The profiles of one shard whose last backup was not stored."""

    def __init__(self, shard: ShardContext, intake: Intake) -> None:
        self._shard = shard
        self._intake = intake
        self._outages: dict[str, Outage] = {}
        self._asked: set[str] = set()
        self._wake = asyncio.Event()

    async def run(self, stop: asyncio.Event) -> None:
        """Look again and again until `stop` is set; what is under way then is left to the next process."""

        async def look() -> None:
            await first_done(self.sweep(), _set(stop))

        await run_every(_INTERVAL_S, look, name="unsaved", stop=stop, wake=self._wake)

    def hurry(self, session_id: str) -> None:
        """Look at once, as another shard waits for what this one has of a session; it may have nothing any more."""
        self._asked.add(session_id)
        self._wake.set()

    async def sweep(self) -> None:
        """Store what is not stored yet.

        Raises:
            RedisUnavailableError: nobody knows; nothing was changed.
        """
        known, self._asked = {*self._shard.layout.session_ids(), *self._asked}, set()
        present = sorted(i for i in known if self._intake.runner(i) is None)
        archives = self._shard.settings.backup.enabled
        due = []
        for record in await self._shard.registry.records.get_many(present):
            left = await self._left_clean(record.session_id)
            if self._is_due(record, left, archives=archives):
                due.append((record, left))
        # Asked first, so that a store that is away costs one call and not one for each session.
        if not due or (archives and not (await self._shard.archives.health()).connected):
            return
        slots = asyncio.Semaphore(_PARALLEL)

        async def store(record: SessionRecord, left: LeftClean | None) -> None:
            async with slots:
                if self._intake.runner(record.session_id) is not None:
                    return
                try:
                    await self._store(record, left)
                except UnavailableError as error:
                    log.warning("last backup waits", session_id=record.session_id, code=error.code, error=str(error))

        async with asyncio.TaskGroup() as tasks:
            for record, left in due:
                tasks.create_task(store(record, left))

    def _is_due(self, record: SessionRecord, left: LeftClean | None, *, archives: bool) -> bool:
        if not self._outages.get(record.session_id, Outage()).over(mono_s()):
            return False
        here = self._shard.identity.name
        noted = is_idle(record, here) and record.unsaved == here
        return noted or (left is not None and is_unsaved(record, left.order, here=here, archives=archives))

    async def _left_clean(self, session_id: str) -> LeftClean | None:
        read = partial(read_left_clean, self._shard.layout.profile_dir(session_id))
        return await asyncio.get_running_loop().run_in_executor(self._shard.executor, read)

    async def _store(self, record: SessionRecord, left: LeftClean | None) -> None:
        shard = self._shard

        async def highest_stored() -> int:
            refs = await shard.archives.newest_first(record.workspace_id, record.session_id)
            return max(left.token if left else 0, *(ref.token for ref in refs), 0)

        try:
            lease, asked_boot_s = await take_lease(
                shard.registry.leases,
                record.session_id,
                shard.identity.holder,
                highest_stored=highest_stored,
                dead_prefix=shard.identity.dead_prefix,
            )
        except ConflictError:
            return  # it runs somewhere
        work = asyncio.create_task(self._store_held(lease, left), name=f"unsaved {record.session_id}")
        shard.keeper.hold(lease, asked_boot_s=asked_boot_s, fence=_cancelling(work))
        try:
            await asyncio.wait([work])
        finally:
            await cancel_all([work])
            await asyncio.shield(shard.keeper.release(lease))
        error = None if work.cancelled() else work.exception()
        if isinstance(error, UnavailableError):
            raise error
        if error is not None:
            # A bug with one session must not take the shard along.
            log.error("last backup not stored", session_id=record.session_id, exc_info=error)
            self._failed(record.session_id)

    def _failed(self, session_id: str) -> None:
        outage = self._outages.get(session_id, Outage())
        self._outages[session_id] = outage.longer(mono_s(), max_pause_s=_MAX_PAUSE_S)

    async def _store_held(self, lease: Lease, left: LeftClean | None) -> None:
        """Look again now that nobody else can run it, and store."""
        shard = self._shard
        bind_ids(session_id=lease.session_id)
        try:
            record = await shard.registry.records.get(lease.session_id)
            if await self._left_clean(lease.session_id) != left:
                return
            here = shard.identity.name
            if not is_idle(record, here):
                return
            if not await self._is_needed(record, left):
                await self._nothing_unsaved(lease)
                return
            copier = Copier(shard, record, lease, shard.layout.profile_dir(lease.session_id))
            copier.begin_above(left.order if left else None)
            publisher = Publisher(
                shard.registry.events, record, may_tell=lambda: shard.keeper.valid(lease), token=lease.token
            )
            telling = asyncio.create_task(publisher.run())
            try:
                keeper = BackupKeeper(shard.settings.backup, copier, publisher, overlay=_no_page)
                first = lease.session_id not in self._outages
                if await keeper.final(clean=left is not None, overlay={}, tell_failure=first):
                    log.info("last backup stored after all", token=lease.token)
                    self._outages.pop(lease.session_id, None)
                    await self._nothing_unsaved(lease)
                else:
                    self._failed(lease.session_id)
                await publisher.drained(timeout_s=_DRAIN_EVENTS_S)
            finally:
                telling.cancel()
        except (ConflictError, NotFoundError) as error:
            log.info("last backup left to others", code=error.code)

    async def _is_needed(self, record: SessionRecord, left: LeftClean | None) -> bool:
        """Whether what this disk has must be stored."""
        shard = self._shard
        if left is not None:
            return is_unsaved(record, left.order, here=shard.identity.name, archives=shard.settings.backup.enabled)
        void = not record.paired or record.void_token >= record.token
        if void or not holds_login(shard.layout.profile_dir(record.session_id)):
            return False
        stored = await shard.registry.copies.get(record.session_id) is not None
        stored = stored or bool(await shard.archives.newest_first(record.workspace_id, record.session_id))
        log.warning("Chromium did not leave the last state whole on this disk", stored_copy=stored)
        return not stored

    async def _nothing_unsaved(self, lease: Lease) -> None:
        await self._shard.registry.records.write_held(lease.session_id, lease.token, {"unsaved": None})


def is_idle(record: SessionRecord, here: str) -> bool:
    """Whether the session is not to run on this shard: it is stopped, or placed on another one."""
    return record.desired is Desired.STOPPED or (record.shard is not None and record.shard != here)


def is_unsaved(record: SessionRecord, left: tuple[int, int], *, here: str, archives: bool) -> bool:
    """Whether the profile that was left clean as `left` is idle here and newer than what the stores have."""
    if not is_idle(record, here) or left[0] <= record.void_token or left[0] < record.token:
        return False
    if is_set_aside(record, left):
        return False  # stored now, it would have a newer token and undo the rollback
    stored = record.archive if archives else record.hot_copy
    return stored is None or stored.order < left


def _cancelling(work: asyncio.Task[None]) -> Callable[[str], None]:
    def fence(_: str) -> None:
        work.cancel()

    return fence


async def _set(stop: asyncio.Event) -> None:
    await stop.wait()


async def _no_page() -> Mapping[str, bytes]:
    raise SnapshotError("no page is open")
