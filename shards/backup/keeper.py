"""Backups of one running session: takes snapshots, packs them, and stores them in Redis and R2.

A failed backup never stops the session: it is told as an event and tried again at the next look. Stored copies are
never removed here.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TypeVar

import structlog
from daemon.objectstore.catalogue import ArchiveFacts

from daemon.core.clock import mono_s, utc_now
from daemon.core.errors import BlazzError, SessionNotFoundError, StaleTokenError
from daemon.registry.leases import Lease
from daemon.sessions.events import EventKind
from daemon.sessions.record import CopyFacts, SessionRecord
from shards.archive.pack import ManifestFacts, Packed, pack
from shards.backup.policy import BackupClock, BackupPlan, plan_backup
from shards.context import ShardContext
from shards.profile.snapshot import fingerprint, take_clean, take_live
from shards.publisher import Publisher

log = structlog.get_logger()
_T = TypeVar("_T")

_LOOK_INTERVAL_S = 1.0
_FINAL_PAUSES_S = (0.5, 2.0)


@dataclass(frozen=True, kw_only=True)
class Stored:
    """What one backup stored."""

    hot_copy: CopyFacts | None
    archive: CopyFacts | None


class BackupKeeper:
    """Backups of one session under one lease."""

    def __init__(
        self,
        shard: ShardContext,
        record: SessionRecord,
        lease: Lease,
        publisher: Publisher,
        *,
        profile_dir: Path,
        overlay: Callable[[], Awaitable[Mapping[str, bytes]]],
    ) -> None:
        """`overlay` gives the additional files of a live snapshot (localStorage and cookies taken over CDP)."""
        self._shard = shard
        self._record = record
        self._lease = lease
        self._publisher = publisher
        self._profile_dir = profile_dir
        self._overlay = overlay
        self._clock = BackupClock()
        self._generation = max(
            (facts.generation for facts in (record.hot_copy, record.archive) if facts is not None), default=0
        )
        self._busy = asyncio.Lock()
        # Sessions that started together must not all write their archives together.
        self._archive_interval_s = shard.settings.backup.interval_ms / 1000 * random.uniform(0.9, 1.1)

    def began_from(self, order: tuple[int, int] | None) -> None:
        """Say which copy the profile was restored from, so that generations go on above it."""
        if order is not None:
            self._generation = max(self._generation, order[1])

    async def run(self) -> None:
        """Look every second whether something is due, from when the session has settled until cancelled.

        Raises:
            StaleTokenError, SessionNotFoundError: this runner may not write any more.
        """
        failures = 0
        await asyncio.sleep(self._shard.settings.backup.settle_ms / 1000)
        while True:
            try:
                await self._look()
                failures = 0
            except (StaleTokenError, SessionNotFoundError):
                raise
            except BlazzError as error:
                failures += 1
                await self._tell_failure(error, first=failures == 1)
            await asyncio.sleep(_LOOK_INTERVAL_S * min(60, 2**failures) * random.uniform(0.9, 1.1))

    async def on_login(self) -> None:
        """Take a hot copy at once: from now on a crash must not cost a scan.

        Raises:
            StaleTokenError, SessionNotFoundError: this runner may not write any more.
        """
        try:
            mark = await self._threaded(partial(fingerprint, self._profile_dir))
            await self._live(BackupPlan(hot_copy=True, archive=False), mark)
        except (StaleTokenError, SessionNotFoundError):
            raise
        except BlazzError as error:
            await self._tell_failure(error, first=True)

    async def _look(self) -> None:
        mark = await self._threaded(partial(fingerprint, self._profile_dir))
        backup = self._shard.settings.backup
        plan = plan_backup(
            self._clock,
            now_mono_s=mono_s(),
            fingerprint=mark,
            hot_copy_interval_s=backup.hot_copy_interval_ms / 1000,
            archive_interval_s=self._archive_interval_s,
            archives_enabled=backup.enabled,
        )
        if plan:
            await self._live(plan, mark)

    async def now(self, *, archive: bool) -> Stored:
        """Take a live backup now, whatever is due.

        Raises:
            SnapshotError, RedisUnavailableError, ObjectStoreUnavailableError: what was stored before remains.
        """
        mark = await self._threaded(partial(fingerprint, self._profile_dir))
        return await self._live(BackupPlan(hot_copy=True, archive=archive), mark)

    async def final(self) -> None:
        """Store the last backup, from the files of a Chromium that has exited by itself; tries each store a few times.

        What cannot be stored is told as an event; the profile stays on disk, and older copies remain.

        Raises:
            StaleTokenError, SessionNotFoundError: this runner may not write any more.
        """
        plan = BackupPlan(hot_copy=True, archive=self._shard.settings.backup.enabled)
        for pause_s in (*_FINAL_PAUSES_S, None):
            try:
                async with self._busy, self._shard.backup_slots:
                    await self._store(plan, "", clean=True, extra={})
                return
            except (StaleTokenError, SessionNotFoundError):
                raise
            except BlazzError as error:
                if pause_s is None:
                    log.error("last backup not stored, older copies remain", code=error.code, error=str(error))
                    await self._publisher.tell(EventKind.BACKUP_FAILED, {"code": error.code, "message": error.message})
                    return
                await asyncio.sleep(pause_s)

    async def _live(self, plan: BackupPlan, mark: str) -> Stored:
        async with self._busy, self._shard.backup_slots:
            return await self._store(plan, mark, clean=False, extra=await self._overlay())

    async def _store(self, plan: BackupPlan, mark: str, *, clean: bool, extra: Mapping[str, bytes]) -> Stored:
        began_mono_s = mono_s()
        self._generation += 1
        packed, body = await self._threaded(partial(self._snapshot, self._generation, clean, dict(extra)))
        hot = archive = None
        if plan.hot_copy:
            hot = await self._put_hot_copy(packed, body)
            self._clock = replace(self._clock, hot_copy_mono_s=mono_s(), fingerprint=mark)
        if plan.archive:
            archive = await self._put_archive(packed, body)
            self._clock = replace(self._clock, archive_mono_s=mono_s(), archive_fingerprint=mark)
        await self._tell(packed, hot, archive, mono_s() - began_mono_s)
        return Stored(hot_copy=hot, archive=archive)

    def _snapshot(self, generation: int, clean: bool, extra: dict[str, bytes]) -> tuple[Packed, bytes]:
        """Copy and pack; blocking."""
        with self._shard.layout.temporary("snapshot") as work:
            take = take_clean if clean else take_live
            take(self._profile_dir, work / "files", extra=extra)
            facts = ManifestFacts(
                session_id=self._record.session_id,
                workspace_id=self._record.workspace_id,
                user_id=self._record.user_id,
                token=self._lease.token,
                generation=generation,
                created_at=utc_now(),
                chromium=self._shard.chromium,
                clean=clean,
            )
            packed = pack(work / "files", facts, work / "archive.zip")
            return packed, (work / "archive.zip").read_bytes()

    async def _put_hot_copy(self, packed: Packed, body: bytes) -> CopyFacts | None:
        limit = self._shard.settings.backup.hot_copy_max_bytes
        if len(body) > limit:
            log.warning("too large for a hot copy, kept in R2 only", size_bytes=len(body), limit_bytes=limit)
            return None
        facts = self._facts(packed, key=None)
        await self._shard.registry.copies.put(self._record.session_id, self._lease.token, body, facts)
        return facts

    async def _put_archive(self, packed: Packed, body: bytes) -> CopyFacts:
        manifest = packed.manifest
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
            ),
            body,
        )
        facts = self._facts(packed, key=ref.key)
        await self._shard.registry.records.write_held(self._record.session_id, self._lease.token, {"archive": facts})
        return facts

    def _facts(self, packed: Packed, *, key: str | None) -> CopyFacts:
        return CopyFacts(
            at=packed.manifest.created_at,
            size_bytes=packed.size_bytes,
            token=packed.manifest.token,
            generation=packed.manifest.generation,
            clean=packed.manifest.clean,
            content_digest=packed.content_digest,
            key=key,
        )

    async def _tell(self, packed: Packed, hot: CopyFacts | None, archive: CopyFacts | None, took_s: float) -> None:
        log.info(
            "backup stored",
            generation=packed.manifest.generation,
            token=packed.manifest.token,
            size_bytes=packed.size_bytes,
            clean=packed.manifest.clean,
            hot_copy=hot is not None,
            archive=archive is not None,
            took_ms=round(took_s * 1000),
        )
        if archive is not None:
            data = {
                "key": archive.key,
                "size_bytes": archive.size_bytes,
                "token": archive.token,
                "generation": archive.generation,
                "clean": archive.clean,
            }
            await self._publisher.tell(EventKind.BACKUP_COMPLETED, data)

    async def _tell_failure(self, error: BlazzError, *, first: bool) -> None:
        if not first:
            return
        log.warning("backup failed, tried again", code=error.code, error=str(error))
        await self._publisher.tell(EventKind.BACKUP_FAILED, {"code": error.code, "message": error.message})

    async def _threaded(self, work: Callable[[], _T]) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._shard.executor, work)
