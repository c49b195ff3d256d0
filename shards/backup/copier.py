"""Taking copies of a session's profile and storing them in Redis and R2. Owns the numbering of generations.

What equals the newest copy that a store has is not stored there again.
"""

import asyncio
import contextlib
import shutil
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from typing import TypeVar

import structlog

from daemon.core.clock import utc_now
from daemon.objectstore.catalogue import ArchiveFacts
from daemon.registry.leases import Lease
from daemon.sessions.copies import is_set_aside
from daemon.sessions.record import CopyFacts, SessionRecord
from shards.archive.hot import pack_hot
from shards.archive.manifest import content_digest
from shards.archive.pack import ManifestFacts, describe, pack
from shards.backup.policy import BackupPlan
from shards.backup.taken import Taken
from shards.context import ShardContext
from shards.profile.digests import Digests
from shards.profile.marker import LeftClean, mark_left_clean
from shards.profile.snapshot import fingerprint, take_clean, take_live
from shards.profile.space import check_free_space
from shards.restore.restored import Restored

log = structlog.get_logger()
_T = TypeVar("_T")

TOO_LARGE = "too_large"


class Copier:
    """Copies of one session under one lease."""

    def __init__(self, shard: ShardContext, record: SessionRecord, lease: Lease, profile_dir: Path) -> None:
        self._shard = shard
        self._record = record
        self._lease = lease
        self._profile_dir = profile_dir
        self._digests = Digests()
        # What a rollback set aside does not count: a copy equal to it has to be stored again to be the newest.
        self._in_redis = _content(record.hot_copy) if _counts(record, record.hot_copy) else None
        self._in_r2 = _content(record.archive) if _counts(record, record.archive) else None
        self._archive_generation = 0
        self._too_large = record.hot_copy_reason == TOO_LARGE
        self._generation = max((facts.generation for facts in (record.hot_copy, record.archive) if facts), default=0)

    @property
    def archived(self) -> bool:
        """Whether R2 has an archive of this session that counts."""
        return self._in_r2 is not None

    def begin_above(self, order: tuple[int, int] | None) -> None:
        """Go on above the copy that the profile was restored from."""
        if order is not None:
            self._generation = max(self._generation, order[1])

    def begin_with(self, restored: Restored) -> None:
        """Go on above what was restored.

        If nothing was, what the stores have is of a login before this one: so the first archive of this one waits for
        nothing, and until then its hot copy may not be evicted.
        """
        self.begin_above(restored.order)
        if restored.source is None:
            self._in_redis = self._in_r2 = None

    def forget_redis(self) -> None:
        """Note that Redis lost the hot copy: the next one is stored, whatever it equals."""
        self._in_redis = None

    def next_generation(self) -> int:
        """Return a generation that nobody has used."""
        self._generation += 1
        return self._generation

    async def fingerprint(self) -> str:
        """Return what the profile's files look like now."""
        return await self._threaded(partial(fingerprint, self._profile_dir))

    async def mark_left_clean(self, generation: int) -> None:
        """Mark the profile of an exited Chromium, so that the next start here can use it as it is."""
        left = LeftClean(
            session_id=self._record.session_id,
            token=self._lease.token,
            generation=generation,
            chromium=self._shard.chromium,
        )
        try:
            await self._threaded(partial(mark_left_clean, self._profile_dir, left))
        except OSError as error:
            log.warning("profile not marked as left clean; the next start fetches a copy", error=error.strerror)

    @contextlib.asynccontextmanager
    async def taken(
        self, plan: BackupPlan, generation: int, *, clean: bool, extra: Mapping[str, bytes]
    ) -> AsyncIterator[Taken]:
        """Take a snapshot for what `plan` says; its files are there until the block ends.

        Raises:
            SnapshotError: no consistent snapshot now.
            DiskLowError: nothing was begun.
        """
        # The slot is for disk and CPU only: a store that hangs must not keep other sessions from their hot copies.
        async with self._shard.backup_slots:
            future = self._shard.executor.submit(self._take, plan, generation, clean, dict(extra))
            try:
                taken = await asyncio.wrap_future(future)
            except asyncio.CancelledError:
                future.add_done_callback(_discard_late)  # the thread goes on to its end
                raise
        try:
            yield taken
        finally:
            self._shard.executor.submit(taken.discard)

    def _take(self, plan: BackupPlan, generation: int, clean: bool, extra: dict[str, bytes]) -> Taken:
        """Copy, compare and pack; blocking."""
        shard = self._shard
        check_free_space(shard.layout.root, min_free_bytes=shard.settings.paths.min_free_bytes)
        facts = ManifestFacts(
            session_id=self._record.session_id,
            workspace_id=self._record.workspace_id,
            user_id=self._record.user_id,
            token=self._lease.token,
            generation=generation,
            created_at=utc_now(),
            chromium=shard.chromium,
            clean=clean,
        )
        work = shard.layout.new_temporary("snapshot")
        try:
            return self._packed(plan, work, facts, extra)
        except BaseException:
            shutil.rmtree(work, ignore_errors=True)
            raise

    def _packed(self, plan: BackupPlan, work: Path, facts: ManifestFacts, extra: dict[str, bytes]) -> Taken:
        shard, files = self._shard, work / "files"
        take = take_clean if facts.clean else take_live
        snapshot = take(self._profile_dir, files, extra=extra)
        manifest = describe(files, facts, known=self._digests.of(files, snapshot.paths))
        digest, key_id = content_digest(manifest.files), shard.keyring.sealing
        content = (digest, key_id)
        archive = plan.archive and content != self._in_r2
        # With every archive a hot copy of the same generation, or Redis would no longer have the newest.
        hot_copy = archive or (plan.hot_copy and content != self._in_redis)
        limit_bytes = shard.settings.backup.hot_copy_max_bytes
        body = pack_hot(files, manifest, keyring=shard.keyring, limit_bytes=limit_bytes) if hot_copy else None
        too_large = hot_copy and body is None
        archive = archive or (too_large and plan.archive_if_too_large and content != self._in_r2)
        packed = pack(files, manifest, work / "archive", keyring=shard.keyring) if archive else None
        return Taken(
            manifest=manifest,
            content_digest=digest,
            key_id=key_id,
            hot_copy=body,
            too_large=too_large,
            packed=packed,
            work=work,
        )

    async def store_hot_copy(self, taken: Taken) -> CopyFacts:
        """Put the hot copy into Redis.

        Raises:
            RedisUnavailableError: the one before may still be there, or this one.
            StaleTokenError, SessionNotFoundError: this runner may not write any more.
        """
        assert taken.hot_copy is not None
        facts = taken.hot_copy_facts
        await self._shard.registry.copies.put(
            self._record.session_id,
            self._lease.token,
            taken.hot_copy,
            facts,
            # Redis may drop it only if there is something to fall back on.
            evictable=self._shard.settings.backup.enabled and self._in_r2 is not None,
        )
        self._in_redis, self._too_large = _content(facts), False
        return facts

    async def note_too_large(self) -> None:
        """Say in the record that the newest copies are in R2 only. Raises as `store_hot_copy`."""
        if self._too_large:
            return
        limit_bytes = self._shard.settings.backup.hot_copy_max_bytes
        log.warning("too large for a hot copy, kept in R2 only", limit_bytes=limit_bytes)
        await self._write({"hot_copy_reason": TOO_LARGE})
        self._too_large = True

    async def store_archive(self, taken: Taken) -> CopyFacts:
        """Store the archive in R2; on return the store has confirmed it and the record says so.

        Raises:
            ObjectStoreUnavailableError, RedisUnavailableError: it may be stored or not; older ones remain.
            StaleTokenError, SessionNotFoundError: this runner may not write any more.
        """
        packed, manifest = taken.packed, taken.manifest
        assert packed is not None
        # First the record: whoever restores must know that R2 may hold something newer than Redis.
        await self._write({"archive_begun": manifest.order})
        ref = await self._shard.archives.store(
            ArchiveFacts(
                session_id=manifest.session_id,
                workspace_id=manifest.workspace_id,
                user_id=manifest.user_id,
                token=manifest.token,
                generation=manifest.generation,
                backed_up_at=manifest.created_at,
                sha256=packed.sha256,
                clean=manifest.clean,
                chromium=manifest.chromium,
                key_id=packed.key_id,
            ),
            taken.archive,
            md5=packed.md5,
        )
        facts = taken.archive_facts(ref.key)
        # An upload that took long may end after that of a newer generation.
        if manifest.generation > self._archive_generation:
            self._archive_generation = manifest.generation
            await self._write({"archive": facts})
            self._in_r2 = _content(facts)
            if taken.too_large:
                # What is in Redis is older, and may be under an older key or none.
                await self._shard.registry.copies.drop_held(self._record.session_id, self._lease.token)
                self._in_redis = None
        return facts

    async def _write(self, fields: Mapping[str, object]) -> None:
        await self._shard.registry.records.write_held(self._record.session_id, self._lease.token, fields)

    async def _threaded(self, work: Callable[[], _T]) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._shard.executor, work)


def _counts(record: SessionRecord, facts: CopyFacts | None) -> bool:
    return facts is not None and not is_set_aside(record, facts.order)


def _content(facts: CopyFacts | None) -> tuple[str, str | None] | None:
    """Return what tells whether a store has this content already, under this key."""
    return (facts.content_digest, facts.key_id) if facts else None


def _discard_late(future: "Future[Taken]") -> None:
    if not future.cancelled() and future.exception() is None:
        future.result().discard()
