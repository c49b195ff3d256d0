"""Taking one copy of a session's profile and storing it in Redis and R2. Owns the numbering of generations."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

import structlog

from daemon.core.clock import utc_now
from daemon.core.errors import BlazzError, SessionNotFoundError, StaleTokenError
from daemon.objectstore.catalogue import ArchiveFacts
from daemon.registry.leases import Lease
from daemon.sessions.record import CopyFacts, SessionRecord
from shards.archive.pack import ManifestFacts, Packed, pack
from shards.backup.policy import BackupPlan
from shards.context import ShardContext
from shards.profile.snapshot import fingerprint, take_clean, take_live

log = structlog.get_logger()
_T = TypeVar("_T")


@dataclass(frozen=True, kw_only=True)
class Stored:
    """What one copy became. `error` is of a store that did not take it; the other one may have."""

    packed: Packed
    hot_copy: CopyFacts | None
    archive: CopyFacts | None
    error: BlazzError | None


class Copier:
    """Copies of one session under one lease."""

    def __init__(self, shard: ShardContext, record: SessionRecord, lease: Lease, profile_dir: Path) -> None:
        self._shard = shard
        self._record = record
        self._lease = lease
        self._profile_dir = profile_dir
        self._generation = max(
            (facts.generation for facts in (record.hot_copy, record.archive) if facts is not None), default=0
        )

    def begin_above(self, order: tuple[int, int] | None) -> None:
        """Go on above the copy that the profile was restored from."""
        if order is not None:
            self._generation = max(self._generation, order[1])

    async def fingerprint(self) -> str:
        """Return what the profile's files look like now."""
        return await self._threaded(partial(fingerprint, self._profile_dir))

    async def copy(self, plan: BackupPlan, *, clean: bool, extra: Mapping[str, bytes]) -> Stored:
        """Take a snapshot and store it where `plan` says, in both stores at the same time.

        Raises:
            SnapshotError: nothing was stored.
            StaleTokenError, SessionNotFoundError: this runner may not write any more.
        """
        self._generation += 1
        # The slot is for disk and CPU only: a store that hangs must not keep other sessions from their hot copies.
        async with self._shard.backup_slots:
            packed, body = await self._threaded(partial(self._snapshot, self._generation, clean, dict(extra)))
        answers = await asyncio.gather(
            self._put_hot_copy(packed, body) if plan.hot_copy else _nothing(),
            self._put_archive(packed, body) if plan.archive else _nothing(),
            return_exceptions=True,
        )
        return _stored(packed, *answers)

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
        facts = _facts(packed, key=None)
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
        facts = _facts(packed, key=ref.key)
        await self._shard.registry.records.write_held(self._record.session_id, self._lease.token, {"archive": facts})
        return facts

    async def _threaded(self, work: Callable[[], _T]) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._shard.executor, work)


async def _nothing() -> None:
    return None


def _stored(packed: Packed, hot: CopyFacts | BaseException | None, archive: CopyFacts | BaseException | None) -> Stored:
    """Sort out what both stores answered; what is no ordinary failure is raised."""
    failures = [answer for answer in (hot, archive) if isinstance(answer, BaseException)]
    for failure in failures:
        if not isinstance(failure, BlazzError) or isinstance(failure, StaleTokenError | SessionNotFoundError):
            raise failure
    errors = [failure for failure in failures if isinstance(failure, BlazzError)]
    return Stored(
        packed=packed,
        hot_copy=hot if isinstance(hot, CopyFacts) else None,
        archive=archive if isinstance(archive, CopyFacts) else None,
        error=errors[0] if errors else None,
    )


def _facts(packed: Packed, *, key: str | None) -> CopyFacts:
    return CopyFacts(
        at=packed.manifest.created_at,
        size_bytes=packed.size_bytes,
        token=packed.manifest.token,
        generation=packed.manifest.generation,
        clean=packed.manifest.clean,
        content_digest=packed.content_digest,
        key=key,
    )
