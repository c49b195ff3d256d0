"""A session's life in Chromium, from its restore to what ended it: restore -> browser -> page -> watch and backups.

Called by the runner, which holds the lease for as long and closes what is left open. Tries an older copy, once, when
WhatsApp does not take the newest.
"""

import asyncio
import contextlib
from collections.abc import Callable

import structlog

from daemon.core.errors import (
    BlazzError,
    BrowserError,
    DiskLowError,
    ObjectStoreUnavailableError,
    RedisUnavailableError,
    SessionNotFoundError,
    StaleTokenError,
)
from daemon.core.loops import first_done
from daemon.sessions.copies import awaits_rollback
from daemon.sessions.record import SessionRecord
from shards.context import ShardContext
from shards.restore.restored import Restored
from shards.runner.command_turns import CommandTurns
from shards.runner.ending import (
    COPIES_DAMAGED,
    LOGIN_NOT_ACCEPTED,
    NOTHING_TO_RESTORE,
    Ending,
    Lived,
    Stop,
    ending_of_failure,
    ending_of_silence,
    ending_of_stop,
)
from shards.runner.engine import OpenPage
from shards.runner.finish import Run
from shards.runner.hearing import Hearing
from shards.runner.orders import Orders
from shards.runner.refusal import tell_refused
from shards.runner.watch import PageWatch

log = structlog.get_logger()

_SETTLE_BEFORE_STOP_S = 10.0
_SENDING_BEFORE_STOP_S = 2.0
"""A message that is being sent when the session has to stop gets this long for its acknowledgement."""


class Life:
    """What happens between the lease and the last backup of one run."""

    def __init__(
        self,
        shard: ShardContext,
        record: SessionRecord,
        run: Run,
        *,
        stop: asyncio.Future[Stop],
        turns: CommandTurns,
        on_open: Callable[[], None],
    ) -> None:
        """`record` is as the run found it; `on_open` is called when a page is open and no longer costs a start."""
        self._shard = shard
        self._record = record
        self._run = run
        self._profile_dir = shard.layout.profile_dir(record.session_id)
        self._stop = stop
        self._turns = turns
        self._on_open = on_open

    async def live(self) -> Ending:
        """Restore and run; tries an older copy once if WhatsApp does not take the newest."""
        run = self._run
        try:
            restored = await run.restorer.restore(self._profile_dir)
            lived = await self._live_once(restored)
            if lived.refused and restored.order is not None and not self._stop.done():
                older = await run.restorer.restore(self._profile_dir, older_than=restored.order)
                await tell_refused(run.publisher, restored, trying_older=older.order is not None)
                if older.order is not None:
                    lived = await self._live_once(older)
            if lived.refused and awaits_rollback(self._record):
                # WhatsApp refused what was chosen, and was not asked about what is newer: that must not become void.
                return LOGIN_NOT_ACCEPTED
            return lived.ending
        except (StaleTokenError, SessionNotFoundError):
            raise
        except (RedisUnavailableError, ObjectStoreUnavailableError, DiskLowError) as error:
            if self._record.reason != error.code:
                log.warning("session waits", code=error.code, error=str(error), hint=error.hint or None)
            await run.browser.discard()
            return ending_of_silence(error.code)
        except BlazzError as error:
            log.error("session failed", code=error.code, error=str(error), hint=error.hint)
            await run.browser.discard()
            return ending_of_failure(error.code)

    async def _live_once(self, restored: Restored) -> Lived:
        run = self._run
        log.info("profile ready", source=restored.source, order=restored.order)
        record = run.notes.record
        if restored.source is None and record.paired and not record.scan_allowed:
            return Lived(ending=COPIES_DAMAGED if restored.damaged else NOTHING_TO_RESTORE)
        run.copier.begin_with(restored)
        hearing = Hearing(run.publisher)
        opened = await self._open(restored, hearing)
        if opened is None:
            return Lived(ending=await self._stopped())
        self._on_open()
        watch = self._watch(opened, hearing, restored)
        self._turns.orders = Orders(
            opened.page,
            run.notes,
            run.publisher,
            run.backups,
            self._shard.registry,
            max_media_bytes=self._shard.settings.send.max_media_bytes,
        )
        try:
            ending = await first_done(
                watch.run(),
                watch.logged_out(),
                self._stopped_and_settled(watch, restored),
                self._lost(opened),
                self._back_up(watch, hearing),
            )
        finally:
            self._turns.orders = None
        if ending.backup and watch.logged_in:
            await self._cut_off(hearing)
        else:
            await run.browser.discard()
        return Lived(ending=ending, logged_in=watch.logged_in)

    async def _cut_off(self, hearing: Hearing) -> None:
        """Have the page confirm nothing more and tell what it has confirmed, before it is closed."""
        await self._turns.sent(_SENDING_BEFORE_STOP_S)
        await self._run.browser.cut_off()
        await hearing.quiet()

    async def _open(self, restored: Restored, hearing: Hearing) -> OpenPage | None:
        """Open the page, or return None when a stop came first and nothing of a login can have happened yet.

        A restored page may log in as soon as its scripts run, and what it has then done must not be thrown away; an
        empty profile has nothing to lose, so its stop does not wait.
        """
        if self._stop.done():
            return None
        if restored.source is not None:
            return await self._run.browser.open(restored, hearing.take)
        opened = await first_done(self._opened(restored, hearing), self._stopped())
        if isinstance(opened, Ending):
            await self._run.browser.discard()
            return None
        return opened

    async def _opened(self, restored: Restored, hearing: Hearing) -> OpenPage | Ending:
        return await self._run.browser.open(restored, hearing.take)

    def _watch(self, opened: OpenPage, hearing: Hearing, restored: Restored) -> PageWatch:
        browser, run = self._shard.settings.browser, self._run
        return PageWatch(
            opened.page,
            hearing,
            run.notes,
            run.publisher,
            restored,
            on_login=run.backups.on_login,
            sync_timeout_s=browser.sync_timeout_ms / 1000,
            boot_timeout_s=browser.start_timeout_ms / 1000,
            starting=self._shard.admission.is_busy,
        )

    async def _stopped(self) -> Ending:
        return ending_of_stop(await asyncio.shield(self._stop))

    async def _stopped_and_settled(self, watch: PageWatch, restored: Restored) -> Ending:
        """Return the ending of a stop; a restored page first gets the time to finish the login that it has begun."""
        ending = await self._stopped()
        if restored.source is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_SETTLE_BEFORE_STOP_S):
                    await watch.settled.wait()
        return ending

    async def _lost(self, opened: OpenPage) -> Ending:
        reason = await asyncio.shield(opened.lost)
        raise BrowserError(f"Chromium is lost: {reason}", last_words=opened.last_words or None)

    async def _back_up(self, watch: PageWatch, hearing: Hearing) -> Ending:
        await watch.authenticated.wait()
        await self._run.backups.run(watch.connected, hearing.stirred)
        raise AssertionError("the backup loop does not end")
