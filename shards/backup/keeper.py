"""Backups of one running session: decides when a copy is due, has it taken, and tells how it went.

A failed backup never stops the session: it is told once as an event and tried again until it works. The hot copies go
on while the object store hangs, as an upload runs beside them. Stored copies are never removed here.
"""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, replace

import structlog

from daemon.core.clock import mono_s
from daemon.core.errors import (
    BlazzError,
    ObjectStoreUnavailableError,
    SessionNotFoundError,
    SnapshotError,
    StaleTokenError,
)
from daemon.core.loops import cancel_all
from daemon.core.sections import BackupSettings
from daemon.sessions.events import EventKind
from daemon.sessions.record import CopyFacts
from shards.backup.copier import Copier
from shards.backup.policy import BackupClock, BackupPlan, Calm, Outage, plan_backup
from shards.backup.taken import Taken
from shards.publisher import Publisher

log = structlog.get_logger()

_LOOK_INTERVAL_S = 1.0
_RESTING_LOOK_INTERVAL_S = 10.0
"""Much less than the time in which a change has to be in a hot copy."""
_SYNCING_INTERVAL_S = 2.0
_GIVES_WAY_S = 180.0
"""How long the first archive after a restore waits for sessions that still have to start; R2 has the one restored."""
_SPREAD_S = 15.0
_FINAL_PAUSES_S = (0.5, 2.0)
_FINAL_LIMIT_S = 15.0
_FINAL_BYTES_PER_S = 500_000
_NOT_OURS = (StaleTokenError, SessionNotFoundError)
_HOT_COPY, _ARCHIVE = "hot_copy", "archive"


@dataclass(kw_only=True)
class _Stored:
    """What of one snapshot has been stored so far."""

    hot_copy: CopyFacts | None = None
    archive: CopyFacts | None = None


class BackupKeeper:
    """When one session is backed up."""

    def __init__(
        self,
        settings: BackupSettings,
        copier: Copier,
        publisher: Publisher,
        *,
        overlay: Callable[[], Awaitable[Mapping[str, bytes]]],
        starting: Callable[[], bool] = lambda: False,
    ) -> None:
        """`overlay` gives the additional files of a live snapshot (localStorage and cookies taken over CDP).

        `starting` says whether other sessions start here, which need the processor more than archives do.
        """
        self._settings = settings
        self._copier = copier
        self._publisher = publisher
        self._overlay = overlay
        self._starting = starting
        self._archives_from_mono_s = 0.0
        self._clock = BackupClock()
        self._outages = {_HOT_COPY: Outage(), _ARCHIVE: Outage()}
        self._turn = asyncio.Lock()
        """Held from a snapshot until its hot copy is in Redis, so that a newer one never comes first."""
        # Sessions that started together must not all write their archives together.
        self._archive_interval_s = settings.interval_ms / 1000 * random.uniform(0.9, 1.1)

    async def run(self, connected: asyncio.Event, stirred: asyncio.Event) -> None:
        """Look every second whether something is due, until cancelled; every few seconds while nothing happens.

        `stirred` is set whenever the page tells something, which ends such a rest at once. Hot copies from the log-in
        on, and often while the session syncs, as that changes it from within; archives from when it has been
        `connected` and settled, and from three minutes later at most while other sessions start.

        Raises:
            StaleTokenError, SessionNotFoundError: this runner may not write any more.
        """
        settled_mono_s: float | None = None
        calm = Calm(since_mono_s=mono_s())
        upload: asyncio.Task[None] | None = None
        try:
            while True:
                if upload is not None and upload.done():
                    upload.result()
                    upload = None
                if settled_mono_s is None and connected.is_set():
                    settled_mono_s = mono_s() + self._settings.settle_ms / 1000
                settled = settled_mono_s is not None and mono_s() >= settled_mono_s
                told = stirred.is_set()
                stirred.clear()
                archives = settled and upload is None and not self._gives_way(settled_mono_s)
                plan, mark = await self._due(settled=settled, archives=archives)
                calm = calm.seen(mark, mono_s(), stirred=told)
                if plan.archive:
                    upload = asyncio.create_task(self._tolerant(plan, mark))
                elif plan:
                    await self._tolerant(plan, mark)
                resting = settled and upload is None and calm.lasts(mono_s(), self._clock)
                await self._pause(stirred, resting=resting)
        finally:
            if upload is not None:
                await cancel_all([upload])

    def _gives_way(self, settled_mono_s: float | None) -> bool:
        """Whether archives wait: only where the store has one already, and never for long."""
        now_mono_s = mono_s()
        if settled_mono_s is None or now_mono_s >= settled_mono_s + _GIVES_WAY_S or not self._copier.archived:
            return False
        if self._starting():
            # Those that waited must not all write their archives together afterwards.
            self._archives_from_mono_s = now_mono_s + random.uniform(0.0, _SPREAD_S)
        return now_mono_s < self._archives_from_mono_s

    async def _pause(self, stirred: asyncio.Event, *, resting: bool) -> None:
        jitter = random.uniform(0.9, 1.1)
        if not resting or any(outage.failures for outage in self._outages.values()):
            await asyncio.sleep(_LOOK_INTERVAL_S * jitter)
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_RESTING_LOOK_INTERVAL_S * jitter):
                await stirred.wait()

    async def _due(self, *, settled: bool, archives: bool) -> tuple[BackupPlan, str]:
        hot_copy_interval_s = self._settings.hot_copy_interval_ms / 1000
        now_mono_s = mono_s()
        mark = await self._copier.fingerprint()
        if not self._outages[_HOT_COPY].over(now_mono_s):
            return BackupPlan(hot_copy=False, archive=False), mark
        plan = plan_backup(
            self._clock,
            now_mono_s=now_mono_s,
            fingerprint=mark,
            hot_copy_interval_s=hot_copy_interval_s if settled else min(hot_copy_interval_s, _SYNCING_INTERVAL_S),
            archive_interval_s=self._archive_interval_s,
            archives_enabled=self._settings.enabled and archives and self._outages[_ARCHIVE].over(now_mono_s),
        )
        return plan, mark

    async def on_login(self) -> None:
        """Take a hot copy at once, or an archive if it is too large: from now on a crash must not cost a scan.

        Raises:
            StaleTokenError, SessionNotFoundError: this runner may not write any more.
        """
        plan = BackupPlan(hot_copy=True, archive=False, archive_if_too_large=self._settings.enabled)
        await self._tolerant(plan, None)

    async def now(self) -> None:
        """Take a live hot copy and an archive now, whatever is due.

        Raises:
            SnapshotError, DiskLowError, RedisUnavailableError, ObjectStoreUnavailableError: what was stored remains.
        """
        await self._live(BackupPlan(hot_copy=True, archive=True), None)

    async def final(self, *, clean: bool, overlay: Mapping[str, bytes], tell_failure: bool = True) -> bool:
        """Store the last backup, from the files of a Chromium whose process is gone; True when all took it.

        `clean` says that it exited by itself, so that its files are complete: they are marked as such, and used as
        they are if the session starts here again. If not, they are copied as those of a live one, with the `overlay`
        taken before the end.

        Tries a few times. What cannot be stored is told as an event; the profile stays on disk, older copies remain.

        Raises:
            StaleTokenError, SessionNotFoundError: this runner may not write any more.
        """
        generation, began_mono_s = self._copier.next_generation(), mono_s()
        if clean:
            await self._copier.mark_left_clean(generation)
        plan = BackupPlan(hot_copy=True, archive=self._settings.enabled)
        taken, stored = None, _Stored()
        async with self._turn, contextlib.AsyncExitStack() as stack:
            for pause_s in (*_FINAL_PAUSES_S, None):
                try:
                    if taken is None:
                        taking = self._copier.taken(plan, generation, clean=clean, extra={} if clean else overlay)
                        taken = await stack.enter_async_context(taking)
                    await self._store_in_time(taken, stored)
                    break
                except _NOT_OURS:
                    raise
                except BlazzError as error:
                    if pause_s is None:
                        await self._not_stored(error, tell=tell_failure)
                        return False
                    await asyncio.sleep(pause_s)
            assert taken is not None
            await self._tell(taken, stored, took_s=mono_s() - began_mono_s)
        return True

    async def _store_in_time(self, taken: Taken, stored: _Stored) -> None:
        """Store what is not stored yet; a store that hangs must not keep the session from its end."""
        size_bytes = taken.packed.size_bytes if taken.packed else 0
        try:
            async with asyncio.timeout(_FINAL_LIMIT_S + size_bytes / _FINAL_BYTES_PER_S):
                await self._store_rest(taken, stored)
        except TimeoutError:
            raise ObjectStoreUnavailableError("the last backup was not taken in time") from None

    async def _store_rest(self, taken: Taken, stored: _Stored) -> None:
        """Store what is not stored yet, in both stores at the same time; raise what went wrong worst."""
        answers = await asyncio.gather(
            self._store_hot_copy(taken, stored), self._store_archive(taken, stored), return_exceptions=True
        )
        failures = [answer for answer in answers if isinstance(answer, BaseException)]
        for failure in sorted(failures, key=lambda failure: isinstance(failure, BlazzError)):
            raise failure

    async def _store_hot_copy(self, taken: Taken, stored: _Stored) -> None:
        if taken.hot_copy is not None and stored.hot_copy is None:
            stored.hot_copy = await self._copier.store_hot_copy(taken)
        if taken.too_large and not self._settings.enabled:
            raise SnapshotError(
                "too large for Redis, and archives are off: this session is not backed up",
                hint="raise SESSION_HOT_COPY_MAX_BYTES or set SESSION_BACKUP_ENABLED=true",
            )
        if taken.too_large:
            await self._copier.note_too_large()

    async def _store_archive(self, taken: Taken, stored: _Stored) -> None:
        if taken.packed is not None and stored.archive is None:
            stored.archive = await self._copier.store_archive(taken)

    async def _tolerant(self, plan: BackupPlan, mark: str | None) -> None:
        """Back up; a failure has been counted and told, and is tried again."""
        try:
            await self._live(plan, mark)
        except _NOT_OURS:
            raise
        except BlazzError:
            return

    async def _live(self, plan: BackupPlan, mark: str | None) -> None:
        began_mono_s, stored = mono_s(), _Stored()
        async with contextlib.AsyncExitStack() as stack:
            async with self._turn, self._counted(_HOT_COPY):
                mark = mark or await self._copier.fingerprint()
                extra, generation = await self._overlay(), self._copier.next_generation()
                taking = self._copier.taken(plan, generation, clean=False, extra=extra)
                taken = await stack.enter_async_context(taking)
                await self._store_hot_copy(taken, stored)
                self._clock = replace(self._clock, hot_copy_mono_s=mono_s(), fingerprint=mark)
            if plan.archive or taken.packed is not None:
                async with self._counted(_ARCHIVE):
                    await self._store_archive(taken, stored)
                    self._clock = replace(self._clock, archive_mono_s=mono_s(), archive_fingerprint=mark)
            await self._tell(taken, stored, took_s=mono_s() - began_mono_s)

    @contextlib.asynccontextmanager
    async def _counted(self, kind: str) -> AsyncIterator[None]:
        """Count failures in a row; the first is told as an event, the first success after them is logged."""
        try:
            yield
        except _NOT_OURS:
            raise
        except BlazzError as error:
            first = self._outages[kind].failures == 0
            self._outages[kind] = self._outages[kind].longer(mono_s())
            if first:
                log.warning("backup failed, tried again", of=kind, code=error.code, error=str(error), hint=error.hint)
                await self._tell_failure(error)
            raise
        if self._outages[kind].failures:
            log.info("backups work again", of=kind, failures=self._outages[kind].failures)
            self._outages[kind] = Outage()

    async def _tell(self, taken: Taken, stored: _Stored, *, took_s: float) -> None:
        if stored.hot_copy is None and stored.archive is None:
            log.debug("backup not needed, nothing has changed")
            return
        log.info(
            "backup stored",
            generation=taken.manifest.generation,
            token=taken.manifest.token,
            clean=taken.manifest.clean,
            hot_copy_bytes=stored.hot_copy.size_bytes if stored.hot_copy else None,
            archive_bytes=stored.archive.size_bytes if stored.archive else None,
            took_ms=round(took_s * 1000),
        )
        if stored.archive is not None:
            data = {
                "key": stored.archive.key,
                "size_bytes": stored.archive.size_bytes,
                "token": stored.archive.token,
                "generation": stored.archive.generation,
                "clean": stored.archive.clean,
            }
            await self._publisher.tell(EventKind.BACKUP_COMPLETED, data)

    async def _not_stored(self, error: BlazzError, *, tell: bool) -> None:
        log.error(
            "last backup not stored everywhere; what is missing stays on this disk and is stored later",
            code=error.code,
            error=str(error),
            hint=error.hint or None,
        )
        if tell:
            await self._tell_failure(error)

    async def _tell_failure(self, error: BlazzError) -> None:
        await self._publisher.tell(EventKind.BACKUP_FAILED, {"code": error.code, "message": error.message})
