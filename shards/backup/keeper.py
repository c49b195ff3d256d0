"""Backups of one running session: decides when a copy is due, has it taken, and tells how it went.

A failed backup never stops the session: it is told as an event and tried again. Stored copies are never removed here.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace

import structlog

from daemon.core.clock import mono_s
from daemon.core.errors import BlazzError, SessionNotFoundError, StaleTokenError
from daemon.core.sections import BackupSettings
from daemon.sessions.events import EventKind
from shards.backup.copier import Copier, Stored
from shards.backup.policy import BackupClock, BackupPlan, plan_backup
from shards.publisher import Publisher

log = structlog.get_logger()

_LOOK_INTERVAL_S = 1.0
_MAX_PAUSE_S = 60.0
_FINAL_PAUSES_S = (0.5, 2.0)


class BackupKeeper:
    """When one session is backed up."""

    def __init__(
        self,
        settings: BackupSettings,
        copier: Copier,
        publisher: Publisher,
        *,
        overlay: Callable[[], Awaitable[Mapping[str, bytes]]],
    ) -> None:
        """`overlay` gives the additional files of a live snapshot (localStorage and cookies taken over CDP)."""
        self._settings = settings
        self._copier = copier
        self._publisher = publisher
        self._overlay = overlay
        self._clock = BackupClock()
        self._busy = asyncio.Lock()
        # Sessions that started together must not all write their archives together.
        self._archive_interval_s = settings.interval_ms / 1000 * random.uniform(0.9, 1.1)

    async def run(self) -> None:
        """Look every second whether something is due, from when the session has settled until cancelled.

        Raises:
            StaleTokenError, SessionNotFoundError: this runner may not write any more.
        """
        failures = 0
        await asyncio.sleep(self._settings.settle_ms / 1000)
        while True:
            failures = 0 if await self._tolerant(self._look(), first=failures == 0) else failures + 1
            pause_s = min(_MAX_PAUSE_S, _LOOK_INTERVAL_S * 2.0**failures)
            await asyncio.sleep(pause_s * random.uniform(0.9, 1.1))

    async def on_login(self) -> None:
        """Take a hot copy at once: from now on a crash must not cost a scan.

        Raises:
            StaleTokenError, SessionNotFoundError: this runner may not write any more.
        """
        await self._tolerant(self._live(BackupPlan(hot_copy=True, archive=False)), first=True)

    async def now(self) -> Stored:
        """Take a live hot copy and an archive now, whatever is due.

        Raises:
            SnapshotError, RedisUnavailableError, ObjectStoreUnavailableError: what was stored before remains.
        """
        return await self._live(BackupPlan(hot_copy=True, archive=True))

    async def final(self, *, clean: bool, overlay: Mapping[str, bytes]) -> bool:
        """Store the last backup, from the files of a Chromium whose process is gone; True when all took it.

        `clean` says that it exited by itself, so that its files are complete. If not, they are copied as those of a
        live one, with the `overlay` taken before the end.

        Tries a few times. What cannot be stored is told as an event; the profile stays on disk, older copies remain.

        Raises:
            StaleTokenError, SessionNotFoundError: this runner may not write any more.
        """
        plan = BackupPlan(hot_copy=True, archive=self._settings.enabled)
        for pause_s in (*_FINAL_PAUSES_S, None):
            try:
                async with self._busy:
                    await self._copy(plan, "", clean=clean, extra={} if clean else overlay)
                return True
            except (StaleTokenError, SessionNotFoundError):
                raise
            except BlazzError as error:
                if pause_s is None:
                    log.error("last backup not stored everywhere", code=error.code, error=str(error), hint=error.hint)
                    await self._tell_failure(error)
                else:
                    await asyncio.sleep(pause_s)
        return False

    async def _look(self) -> None:
        mark = await self._copier.fingerprint()
        plan = plan_backup(
            self._clock,
            now_mono_s=mono_s(),
            fingerprint=mark,
            hot_copy_interval_s=self._settings.hot_copy_interval_ms / 1000,
            archive_interval_s=self._archive_interval_s,
            archives_enabled=self._settings.enabled,
        )
        if plan:
            await self._live(plan, mark)

    async def _live(self, plan: BackupPlan, mark: str | None = None) -> Stored:
        async with self._busy:
            if mark is None:
                mark = await self._copier.fingerprint()
            return await self._copy(plan, mark, clean=False, extra=await self._overlay())

    async def _copy(self, plan: BackupPlan, mark: str, *, clean: bool, extra: Mapping[str, bytes]) -> Stored:
        began_mono_s = mono_s()
        stored = await self._copier.copy(plan, clean=clean, extra=extra)
        # A copy too large for Redis counts as done: it is as new there as it can be.
        if plan.hot_copy and (stored.hot_copy is not None or stored.error is None):
            self._clock = replace(self._clock, hot_copy_mono_s=mono_s(), fingerprint=mark)
        if stored.archive is not None:
            self._clock = replace(self._clock, archive_mono_s=mono_s(), archive_fingerprint=mark)
        await self._tell(stored, took_s=mono_s() - began_mono_s)
        if stored.error is not None:
            raise stored.error
        return stored

    async def _tolerant(self, backup: Awaitable[object], *, first: bool) -> bool:
        """Await a backup; a failure is told when it is the `first` in a row, and False returned."""
        try:
            await backup
            return True
        except (StaleTokenError, SessionNotFoundError):
            raise
        except BlazzError as error:
            if first:
                log.warning("backup failed, tried again", code=error.code, error=str(error), hint=error.hint)
                await self._tell_failure(error)
            return False

    async def _tell(self, stored: Stored, *, took_s: float) -> None:
        manifest = stored.packed.manifest
        log.info(
            "backup stored" if stored.error is None else "backup stored in part",
            generation=manifest.generation,
            token=manifest.token,
            size_bytes=stored.packed.size_bytes,
            clean=manifest.clean,
            hot_copy=stored.hot_copy is not None,
            archive=stored.archive is not None,
            took_ms=round(took_s * 1000),
        )
        if stored.archive is not None:
            data = {
                "key": stored.archive.key,
                "size_bytes": stored.archive.size_bytes,
                "token": manifest.token,
                "generation": manifest.generation,
                "clean": manifest.clean,
            }
            await self._publisher.tell(EventKind.BACKUP_COMPLETED, data)

    async def _tell_failure(self, error: BlazzError) -> None:
        await self._publisher.tell(EventKind.BACKUP_FAILED, {"code": error.code, "message": error.message})
