"""The session runner: one session's life on this shard as named phases.

wait for a slot -> lease -> restore -> browser -> page -> watch, commands, backups -> close -> last backup -> release.
Whatever happens, Chromium is gone before the lease is given back, and nothing stored is ever removed here except
what WhatsApp itself declared ended.
"""

import asyncio
import contextlib
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta

import structlog

from daemon.core.clock import mono_s, utc_now
from daemon.core.errors import (
    BlazzError,
    BrowserError,
    LeaseLostError,
    ObjectStoreUnavailableError,
    RedisUnavailableError,
    SessionNotFoundError,
    ShardUnavailableError,
    StaleTokenError,
)
from daemon.core.logs import bind_ids
from daemon.core.loops import first_done
from daemon.registry.leases import Lease
from daemon.registry.tombstones import Tombstone
from daemon.sessions.commands import Command, CommandKind, Outcome, Reply
from daemon.sessions.events import EventKind
from daemon.sessions.record import SessionRecord
from daemon.sessions.states import SessionState
from shards.backup.copier import Copier
from shards.backup.keeper import BackupKeeper
from shards.browser.process import BrowserProcess
from shards.context import ShardContext
from shards.page.overlay import OVERLAY_FILE
from shards.publisher import Publisher
from shards.restore.restorer import Restored, Restorer
from shards.runner.ending import (
    COPIES_DAMAGED,
    LOGGED_OUT,
    LOGIN_NOT_ACCEPTED,
    NOTHING_TO_RESTORE,
    OPENED_ELSEWHERE,
    Ending,
    Stop,
    ending_of_failure,
    ending_of_silence,
    ending_of_stop,
    retry_pause_s,
)
from shards.runner.notes import SessionNotes
from shards.runner.opened import Opened, browser_spec, open_page
from shards.runner.orders import Orders, not_done
from shards.runner.watch import PageWatch

log = structlog.get_logger()

_DRAIN_EVENTS_S = 5.0
_LOGOUT_ENDS_S = 20.0
_WAIT_FOR_STORE_S = 4.0


@dataclass(frozen=True, kw_only=True)
class Run:
    """What the phases after the lease share."""

    lease: Lease
    notes: SessionNotes
    publisher: Publisher
    restorer: Restorer
    copier: Copier
    backups: BackupKeeper


class SessionRunner:
    """Runs one session once: from its lease to its release."""

    def __init__(self, shard: ShardContext, record: SessionRecord) -> None:
        self._shard = shard
        self._record = record
        self._profile_dir = shard.layout.profile_dir(record.session_id)
        self._stop: asyncio.Future[Stop] = asyncio.get_running_loop().create_future()
        self._ended = asyncio.Event()
        self._ending: Ending | None = None
        self._starting = True
        self._process: BrowserProcess | None = None
        self._opened: Opened | None = None
        self._fenced: str | None = None
        self._task: asyncio.Task[None] | None = None
        self._orders: Orders | None = None
        self._one_order = asyncio.Lock()
        self.serial = record.serial
        self.pause_s = 0.0
        """How long to wait before the session may be run again."""

    @property
    def stopping(self) -> bool:
        """Whether it was asked to stop."""
        return self._stop.done()

    def request_stop(self, why: Stop) -> None:
        """End the run in order; the first request decides."""
        if not self._stop.done():
            log.info("session asked to stop", session_id=self._record.session_id, why=why)
            self._stop.set_result(why)

    async def carry_out(self, command: Command) -> Reply:
        """Carry out a command; commands of one session run one after another."""
        async with self._one_order:
            orders = self._orders
            if orders is None or self.stopping:
                return not_done(ShardUnavailableError.code, "the session is starting or stopping")
            reply = await orders.carry_out(command)
        if command.kind is CommandKind.LOGOUT and reply.outcome is not Outcome.NOT_DONE:
            # The session ends as soon as the page shows the logout, which may cut off the page's own answer.
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._ended.wait(), _LOGOUT_ENDS_S)
            if self._ending is LOGGED_OUT:
                return Reply(outcome=Outcome.DONE)
        return reply

    async def run(self) -> None:
        """Run the session until it ends or is asked to stop.

        Raises:
            LeaseHeldError: another holder runs it; nothing was changed, come again.
            UnavailableError: a store does not answer; nothing was changed, come again.
        """
        bind_ids(session_id=self._record.session_id)
        self._task = asyncio.current_task()
        await self._shard.start_slots.acquire()
        try:
            if self.stopping:
                return
            restorer = Restorer(self._shard, self._record)
            lease = await self._acquire(restorer)
            try:
                await self._hold(lease, restorer)
            finally:
                self._kill()
                await asyncio.shield(self._shard.keeper.release(lease))
        except asyncio.CancelledError:
            if self._fenced is None:
                raise
            task = asyncio.current_task()
            if task is not None:
                task.uncancel()
            self.pause_s = 1.0
        finally:
            self._ended.set()
            self._starting_is_over()

    async def _acquire(self, restorer: Restorer) -> Lease:
        session_id = self._record.session_id
        leases = self._shard.registry.leases
        # A Redis that knows no token may have lost its data: then tokens go on above the highest archive.
        floor = await restorer.highest_token() if await leases.known_token(session_id) is None else 0
        asked_mono_s = mono_s()
        lease = await leases.acquire(
            session_id, self._shard.identity.holder, floor=floor, dead_prefix=self._shard.identity.dead_prefix
        )
        self._shard.keeper.hold(lease, asked_mono_s=asked_mono_s, fence=self._fence)
        log.info("lease taken", token=lease.token)
        return lease

    async def _hold(self, lease: Lease, restorer: Restorer) -> None:
        notes = SessionNotes(self._shard.registry, self._record, lease)
        publisher = Publisher(self._shard.registry.events, self._record)
        copier = Copier(self._shard, self._record, lease, self._profile_dir)
        backups = BackupKeeper(self._shard.settings.backup, copier, publisher, overlay=self._overlay)
        run = Run(lease=lease, notes=notes, publisher=publisher, restorer=restorer, copier=copier, backups=backups)
        telling = asyncio.create_task(publisher.run())
        try:
            await notes.move(SessionState.STARTING, token=lease.token)
            self._ending = await self._live(run)
            await self._finish(run, self._ending)
            await publisher.drained(timeout_s=_DRAIN_EVENTS_S)
        except (StaleTokenError, SessionNotFoundError) as error:
            log.error("session ended without a word: somebody else owns its record", code=error.code)
        finally:
            await self._discard()
            telling.cancel()

    async def _live(self, run: Run) -> Ending:
        """Restore and run; tries an older copy once if WhatsApp does not accept the newest."""
        try:
            restored = await run.restorer.restore(self._profile_dir)
            ending = await self._live_once(run, restored)
            if ending is LOGIN_NOT_ACCEPTED and restored.order is not None:
                log.error("restored login was not accepted, trying an older copy", order=restored.order)
                older = await run.restorer.restore(self._profile_dir, older_than=restored.order)
                if older.order is not None:
                    ending = await self._live_once(run, older)
            return ending
        except (StaleTokenError, SessionNotFoundError, LeaseLostError):
            raise
        except (RedisUnavailableError, ObjectStoreUnavailableError) as error:
            if self._record.reason != error.code:
                log.warning("session waits for a store that does not answer", code=error.code, error=str(error))
            await self._discard()
            return ending_of_silence(error.code)
        except BlazzError as error:
            log.error("session failed", code=error.code, error=str(error), hint=error.hint)
            await self._discard()
            return ending_of_failure(error.code)

    async def _live_once(self, run: Run, restored: Restored) -> Ending:
        log.info("profile ready", source=restored.source, order=restored.order)
        if restored.source is None and run.notes.record.paired and not run.notes.record.scan_allowed:
            return COPIES_DAMAGED if restored.damaged else NOTHING_TO_RESTORE
        run.copier.begin_above(restored.order)
        opened = await self._open(restored)
        watch = PageWatch(
            opened.page,
            run.notes,
            run.publisher,
            restored,
            on_login=run.backups.on_login,
            sync_timeout_s=self._shard.settings.browser.sync_timeout_ms / 1000,
            boot_timeout_s=self._shard.settings.browser.start_timeout_ms / 1000,
        )
        self._opened = opened
        self._orders = Orders(opened.page, run.notes, run.publisher, run.backups)
        try:
            ending = await first_done(
                watch.run(), watch.pump(), self._stopped(), self._lost(opened), self._back_up(watch, run.backups)
            )
        finally:
            self._orders = None
        if not (ending.backup and run.notes.record.paired):
            await self._discard()
        return ending

    async def _open(self, restored: Restored) -> Opened:
        browser = self._shard.settings.browser
        spec = browser_spec(browser, self._profile_dir, self._shard.notes_dir, self._record.session_id)
        self._process = await BrowserProcess.start(spec, timeout_s=browser.start_timeout_ms / 1000)
        opened = await open_page(self._process, browser, self._shard.bundle, restored.overlay)
        self._starting_is_over()
        return opened

    async def _stopped(self) -> Ending:
        return ending_of_stop(await asyncio.shield(self._stop))

    async def _lost(self, opened: Opened) -> Ending:
        reason = await asyncio.shield(opened.connection.lost)
        raise BrowserError(f"Chromium is lost: {reason}", last_words=opened.process.last_words or None)

    async def _back_up(self, watch: PageWatch, backups: BackupKeeper) -> Ending:
        await watch.connected.wait()
        await backups.run()
        raise AssertionError("the backup loop does not end")

    async def _overlay(self) -> Mapping[str, bytes]:
        opened = self._opened
        if opened is None:
            return {}
        overlay = await opened.page.capture_overlay()
        return {OVERLAY_FILE: overlay.to_json()}

    async def _last_overlay(self) -> Mapping[str, bytes]:
        try:
            return await self._overlay()
        except BlazzError as error:
            log.warning("localStorage and cookies not read before the end", code=error.code, error=str(error))
            return {}

    async def _finish(self, run: Run, ending: Ending) -> None:
        """Close what is open, store the last backup, and write how it ended."""
        stored = False
        if self._opened is not None:
            await run.notes.move(SessionState.STOPPING, reason=ending.reason)
            overlay = await self._last_overlay()
            clean = await self._close()
            if ending.backup:
                stored = await run.backups.final(clean=clean, overlay=overlay)
        await run.notes.show_nothing()
        if ending.void:
            await self._void(run)
        if ending.void or (ending.leaves and (stored or not ending.backup)):
            # Nobody needs these files here any more, and they hold a login.
            await self._threaded(self._shard.layout.remove_profile, self._record.session_id)
        await self._tell_ending(run, ending)
        await run.notes.move(ending.status, reason=ending.reason, **self._retry(run, ending))

    async def _threaded(self, work: Callable[[str], None], argument: str) -> None:
        await asyncio.get_running_loop().run_in_executor(self._shard.executor, work, argument)

    def _retry(self, run: Run, ending: Ending) -> dict[str, object]:
        if ending.waits:
            # Spread out, so that many sessions do not ask together when the store is back.
            self.pause_s = _WAIT_FOR_STORE_S * random.uniform(0.5, 1.5)
            return {"retry_at": utc_now() + timedelta(seconds=self.pause_s)}
        if not ending.failure:
            return {"retry_at": None}
        failures = run.notes.record.failures + 1
        self.pause_s = retry_pause_s(failures)
        return {"failures": failures, "retry_at": utc_now() + timedelta(seconds=self.pause_s)}

    async def _void(self, run: Run) -> None:
        """WhatsApp ended this login: its copies are of no use to anybody and must never be restored."""
        record, token = run.notes.record, run.lease.token
        await run.notes.write(paired=False, scan_allowed=False, void_token=token, hot_copy=None, archive=None)
        await self._shard.registry.copies.drop(record.session_id)
        await self._shard.registry.tombstones.put(
            Tombstone(session_id=record.session_id, workspace_id=record.workspace_id, void_token=token, at=utc_now())
        )

    async def _tell_ending(self, run: Run, ending: Ending) -> None:
        if ending is OPENED_ELSEWHERE:
            await run.publisher.tell(EventKind.CONFLICT, {"reason": ending.reason})
        elif ending.status is SessionState.DISCONNECTED:
            await run.publisher.tell(
                EventKind.DISCONNECTED, {"reason": ending.reason, "logged_out": ending is LOGGED_OUT}
            )

    async def _close(self) -> bool:
        opened, self._opened = self._opened, None
        if opened is None:
            return False
        clean = await opened.close()
        if not clean:
            log.warning("Chromium did not end by itself", exit_status=opened.process.exited.result())
        return clean

    async def _discard(self) -> None:
        opened, self._opened = self._opened, None
        if opened is not None:
            await opened.discard()

    def _starting_is_over(self) -> None:
        if self._starting:
            self._starting = False
            self._shard.start_slots.release()

    def _kill(self) -> None:
        if self._process is not None:
            self._process.kill()

    def _fence(self, reason: str) -> None:
        """End at once: from now on another shard may run this session."""
        self._fenced = reason
        self._kill()
        if self._task is not None:
            self._task.cancel()
