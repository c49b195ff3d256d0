"""The session runner: one session's life on this shard as named phases.

wait for a slot -> lease -> restore -> browser -> page -> watch, commands, backups -> close -> last backup -> release.
Whatever happens, Chromium is gone before the lease is given back, and nothing stored is ever removed here except
what WhatsApp itself declared ended.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial

import structlog

from daemon.core.errors import (
    BlazzError,
    BrowserError,
    DiskLowError,
    ObjectStoreUnavailableError,
    RedisUnavailableError,
    SendQueueFullError,
    SessionNotFoundError,
    ShardUnavailableError,
    StaleTokenError,
)
from daemon.core.logs import bind_ids
from daemon.core.loops import cancel_all, first_done
from daemon.registry.leases import Lease
from daemon.sessions.commands import Command, CommandKind, Outcome, Reply
from daemon.sessions.copies import awaits_rollback
from daemon.sessions.events import EventKind
from daemon.sessions.record import SessionRecord
from daemon.sessions.states import SessionState
from daemon.sessions.summary import Summary
from shards.admission.admission import Slot
from shards.backup.copier import Copier
from shards.backup.keeper import BackupKeeper
from shards.context import ShardContext
from shards.granting import take_lease
from shards.publisher import Publisher
from shards.restore.restored import Restored
from shards.restore.restorer import Restorer
from shards.runner.beginning import NotNow, look_again
from shards.runner.ending import (
    COPIES_DAMAGED,
    LOGGED_OUT,
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
from shards.runner.finish import Run, finish
from shards.runner.notes import SessionNotes
from shards.runner.orders import Orders, not_done
from shards.runner.refusal import tell_refused
from shards.runner.regaining import Regaining
from shards.runner.sending import SendQueue
from shards.runner.turn import wait_for_turn
from shards.runner.watch import PageWatch

log = structlog.get_logger()

_DRAIN_EVENTS_S = 5.0
_LOGOUT_ENDS_S = 20.0
_AFTER_FENCE_S = 1.0
_SETTLE_BEFORE_STOP_S = 10.0
_PARALLEL_READS = 4
_WAIT_PART = 0.7
"""How much of the time that a request waits may pass in the queue; the rest is for the sending itself."""

Begin = Callable[[], Awaitable[Reply | None]]
"""Claims a command when its turn has come; returns the reply if it must not be carried out any more."""


class SessionRunner:
    """Runs one session once: from its lease to its release."""

    def __init__(self, shard: ShardContext, record: SessionRecord) -> None:
        self._shard = shard
        self._record = record
        self._profile_dir = shard.layout.profile_dir(record.session_id)
        self._browser = shard.engine.browser(record.session_id, self._profile_dir)
        self._stop: asyncio.Future[Stop] = asyncio.get_running_loop().create_future()
        self._ended = asyncio.Event()
        self._ending: Ending | None = None
        self._slot: Slot | None = None
        self._marked_void = 0
        self._fenced = False
        self._task: asyncio.Task[None] | None = None
        self._run: Run | None = None
        self._regaining: Regaining | None = None
        self._orders: Orders | None = None
        self._one_order = asyncio.Lock()
        self._reading = asyncio.Semaphore(_PARALLEL_READS)
        waited_s = shard.settings.coordinator.command_timeout_ms / 1000
        self._sending = SendQueue(shard.settings.send, wait_max_s=waited_s * _WAIT_PART)
        self.serial = record.serial
        self.pause_s = 0.0
        """How long to wait before the session may be run again."""
        self.waits_for: str | None = None
        """The shard that has to store the session's last state before it may begin here."""

    @property
    def stopping(self) -> bool:
        """Whether it was asked to stop."""
        return self._stop.done()

    @property
    def stop_asked(self) -> Stop | None:
        """Why it was asked to stop, if it was."""
        return self._stop.result() if self._stop.done() else None

    @property
    def written_token(self) -> int:
        """The token that the record has since this run began; 0 before. One with a lower token is out of a dump."""
        return self._run.notes.written_token if self._run is not None else 0

    def request_stop(self, why: Stop) -> None:
        """End the run in order; the first request decides."""
        if not self._stop.done():
            log.info("session asked to stop", session_id=self._record.session_id, why=why)
            self._stop.set_result(why)

    async def confirm(self) -> None:
        """End if the session was deleted. A record that is gone may also be lost: only the token tells."""
        if self._run is None:
            return
        try:
            await self._run.notes.write(runs_on=self._shard.identity.name)
        except SessionNotFoundError:
            self.request_stop(Stop.DELETED)
        except StaleTokenError:
            log.warning("another shard was given the session", session_id=self._record.session_id)

    async def compare(self, found: Summary) -> None:
        """Have everything written again if Redis fell back to what it was earlier in this run."""
        if self._run is not None and self._run.notes.fell_back(found):
            log.warning("Redis fell back within this run", session_id=found.session_id, said=found.status)
            await self._shard.registry.leases.mark_lost(self._run.lease)

    async def carry_out(self, command: Command, begin: Begin) -> Reply:
        """Carry out a command when its turn has come.

        Messages are sent one after another in the order in which they came; what only reads runs beside.
        """
        match command.kind:
            case CommandKind.SEND:
                full_for_s = self._sending.full_for_s()
                if full_for_s is not None:
                    return await begin() or not_done(
                        SendQueueFullError.code, "too many messages of the session wait", retry_after_s=full_for_s
                    )
                async with self._sending.turn(self._stop):
                    return await self._carry_out(command, begin)
            case CommandKind.FIND_NUMBER | CommandKind.GET_MEDIA:
                async with self._reading:
                    return await self._carry_out(command, begin)
            case _:
                async with self._one_order:
                    reply = await self._carry_out(command, begin)
        if command.kind is CommandKind.LOGOUT and reply.outcome is not Outcome.NOT_DONE:
            # The session ends as soon as the page shows the logout, which may cut off the page's own answer.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LOGOUT_ENDS_S):
                    await self._ended.wait()
            if self._ending is LOGGED_OUT:
                return Reply(outcome=Outcome.DONE)
        return reply

    async def _carry_out(self, command: Command, begin: Begin) -> Reply:
        """Do it now, unless `begin` says that it must not be begun any more."""
        refused = await begin()
        if refused is not None:
            return refused
        orders = self._orders
        if orders is None or self.stopping:
            return not_done(ShardUnavailableError.code, "the session is starting or stopping")
        return await orders.carry_out(command)

    async def run(self) -> None:
        """Run the session until it ends or is asked to stop.

        Raises:
            LeaseHeldError: another holder runs it; nothing was changed, come again.
            UnavailableError: a store does not answer; nothing was changed, come again.
        """
        bind_ids(session_id=self._record.session_id)
        self._task = asyncio.current_task()
        self._slot = await wait_for_turn(
            self._shard.admission, self._record.session_id, active_at=self._record.active_at, stop=self._stop
        )
        if self._slot is None:
            self._ended.set()
            return
        try:
            if self.stopping:
                return
            lease = await self._acquire()
            try:
                await self._hold(lease)
            finally:
                self._browser.kill()
                await asyncio.shield(self._shard.keeper.release(lease))
        except asyncio.CancelledError:
            if not self._fenced:
                raise
            task = asyncio.current_task()
            if task is not None:
                task.uncancel()
            self.pause_s = _AFTER_FENCE_S
        finally:
            self._ended.set()
            self._starting_is_over()

    async def _acquire(self) -> Lease:
        shard = self._shard
        lease, asked_boot_s = await take_lease(
            shard.registry.leases,
            self._record.session_id,
            shard.identity.holder,
            highest_stored=self._highest_stored,
            dead_prefix=shard.identity.dead_prefix,
        )
        shard.keeper.hold(lease, asked_boot_s=asked_boot_s, fence=self._fence, on_regained=self._regained)
        log.info("lease taken", token=lease.token)
        return lease

    async def _highest_stored(self) -> int:
        """Return the highest token outside Redis, which may have forgotten that a login of this id was ended."""
        mark = await self._shard.archives.get_mark(self._record.workspace_id, self._record.session_id)
        self._marked_void = mark.void_token if mark else 0
        return max(self._marked_void, await Restorer(self._shard, self._record).highest_token())

    async def _hold(self, lease: Lease) -> None:
        # From here on only we write the state.
        found = await look_again(self._shard, self._record.session_id, serial=self.serial)
        if isinstance(found, NotNow):
            self.pause_s, self.waits_for = found.pause_s, found.unsaved_on
            return
        self._record = found
        if self._marked_void > found.void_token:
            await self._shard.registry.records.write_held(
                found.session_id, lease.token, {"void_token": self._marked_void}
            )
            self._record = replace(found, void_token=self._marked_void)
        publisher = Publisher(
            self._shard.registry.events,
            self._record,
            may_tell=partial(self._shard.keeper.valid, lease),
            token=lease.token,
            journal=self._shard.journals.of(self._record.session_id, lease.token),
        )
        copier = Copier(self._shard, self._record, lease, self._profile_dir)
        run = Run(
            lease=lease,
            notes=SessionNotes(self._shard.registry, self._record, lease),
            publisher=publisher,
            restorer=Restorer(self._shard, self._record, tell=partial(publisher.tell, EventKind.RESTORE_FAILED)),
            copier=copier,
            backups=BackupKeeper(self._shard.settings.backup, copier, publisher, overlay=self._browser.overlay),
            browser=self._browser,
        )
        telling = asyncio.create_task(publisher.run())
        self._run, self._regaining = run, Regaining(run)
        try:
            here = self._shard.identity.name
            # What a shard that is not waited for has on its disk is void from now on: nobody waits for it later either.
            unsaved = found.unsaved if found.unsaved == here else None
            await run.notes.move(SessionState.STARTING, token=lease.token, runs_on=here, unsaved=unsaved)
            await run.notes.show_nothing(always=True)
            self._ending = await self._live(run)
            self.pause_s = await finish(self._shard, run, self._ending)
            await publisher.drained(timeout_s=_DRAIN_EVENTS_S)
        except (StaleTokenError, SessionNotFoundError) as error:
            log.error("session ended without a word: somebody else owns its record", code=error.code)
        finally:
            try:
                await self._regaining.end()
                self._run, self._regaining = None, None
                await self._browser.discard()
                await cancel_all([telling])
            finally:
                publisher.close()

    async def _live(self, run: Run) -> Ending:
        """Restore and run; tries an older copy once if WhatsApp does not take the newest."""
        try:
            restored = await run.restorer.restore(self._profile_dir)
            lived = await self._live_once(run, restored)
            if lived.refused and restored.order is not None and not self.stopping:
                older = await run.restorer.restore(self._profile_dir, older_than=restored.order)
                await tell_refused(run.publisher, restored, trying_older=older.order is not None)
                if older.order is not None:
                    lived = await self._live_once(run, older)
            if lived.refused and awaits_rollback(self._record):
                # WhatsApp refused what was chosen, and was not asked about what is newer: that must not become void.
                return LOGIN_NOT_ACCEPTED
            return lived.ending
        except (StaleTokenError, SessionNotFoundError):
            raise
        except (RedisUnavailableError, ObjectStoreUnavailableError, DiskLowError) as error:
            if self._record.reason != error.code:
                log.warning("session waits", code=error.code, error=str(error), hint=error.hint or None)
            await self._browser.discard()
            return ending_of_silence(error.code)
        except BlazzError as error:
            log.error("session failed", code=error.code, error=str(error), hint=error.hint)
            await self._browser.discard()
            return ending_of_failure(error.code)

    async def _live_once(self, run: Run, restored: Restored) -> Lived:
        log.info("profile ready", source=restored.source, order=restored.order)
        record = run.notes.record
        if restored.source is None and record.paired and not record.scan_allowed:
            return Lived(ending=COPIES_DAMAGED if restored.damaged else NOTHING_TO_RESTORE)
        run.copier.begin_above(restored.order)
        opened = await self._open(restored)
        if opened is None:
            return Lived(ending=await self._stopped())
        self._starting_is_over()
        watch = self._watch(run, opened, restored)
        self._orders = Orders(
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
                watch.pump(),
                self._stopped_and_settled(watch, restored),
                self._lost(opened),
                self._back_up(watch, run.backups),
            )
        finally:
            self._orders = None
        if not (ending.backup and watch.logged_in):
            await self._browser.discard()
        return Lived(ending=ending, logged_in=watch.logged_in)

    async def _open(self, restored: Restored) -> OpenPage | None:
        """Open the page, or return None when a stop came first and nothing of a login can have happened yet.

        A restored page may log in as soon as its scripts run, and what it has then done must not be thrown away; an
        empty profile has nothing to lose, so its stop does not wait.
        """
        if self.stopping:
            return None
        if restored.source is not None:
            return await self._browser.open(restored)
        opened = await first_done(self._opened(restored), self._stopped())
        if isinstance(opened, Ending):
            await self._browser.discard()
            return None
        return opened

    async def _opened(self, restored: Restored) -> OpenPage | Ending:
        return await self._browser.open(restored)

    def _watch(self, run: Run, opened: OpenPage, restored: Restored) -> PageWatch:
        browser = self._shard.settings.browser
        return PageWatch(
            opened.page,
            run.notes,
            run.publisher,
            restored,
            on_login=run.backups.on_login,
            sync_timeout_s=browser.sync_timeout_ms / 1000,
            boot_timeout_s=browser.start_timeout_ms / 1000,
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

    async def _back_up(self, watch: PageWatch, backups: BackupKeeper) -> Ending:
        await watch.authenticated.wait()
        await backups.run(watch.connected)
        raise AssertionError("the backup loop does not end")

    def _starting_is_over(self) -> None:
        if self._slot is not None:
            self._slot.leave()

    def _regained(self) -> None:
        if self._regaining is not None:
            self._regaining.begin()

    def _fence(self, reason: str) -> None:
        """End at once: from now on another shard may run this session."""
        self._fenced = True
        self._browser.kill()
        if self._task is not None:
            self._task.cancel()
