"""The session runner: one session's life on this shard as named phases.

wait for a slot -> lease -> restore -> browser -> page -> watch, commands, backups -> close -> last backup -> release.
Whatever happens, Chromium is gone before the lease is given back, and nothing stored is ever removed here except
what WhatsApp itself declared ended.
"""

import asyncio
from dataclasses import replace
from functools import partial

import structlog

from daemon.core.errors import SessionNotFoundError, StaleTokenError
from daemon.core.logs import bind_ids
from daemon.core.loops import cancel_all
from daemon.registry.leases import Lease
from daemon.sessions.commands import Command, Reply
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
from shards.restore.restorer import Restorer
from shards.runner.beginning import NotNow, look_again
from shards.runner.command_turns import Begin, CommandTurns
from shards.runner.ending import Ending, Stop
from shards.runner.finish import Run, finish
from shards.runner.life import Life
from shards.runner.notes import SessionNotes
from shards.runner.regaining import Regaining
from shards.runner.turn import wait_for_turn

log = structlog.get_logger()

_DRAIN_EVENTS_S = 5.0
_AFTER_FENCE_S = 1.0


class SessionRunner:
    """Runs one session once: from its lease to its release."""

    def __init__(self, shard: ShardContext, record: SessionRecord) -> None:
        self._shard = shard
        self._record = record
        self._profile_dir = shard.layout.profile_dir(record.session_id)
        self._browser = shard.engine.browser(record.session_id, self._profile_dir)
        self._stop: asyncio.Future[Stop] = asyncio.get_running_loop().create_future()
        self._ending: Ending | None = None
        self._slot: Slot | None = None
        self._marked_void = 0
        self._fenced = False
        self._task: asyncio.Task[None] | None = None
        self._run: Run | None = None
        self._regaining: Regaining | None = None
        self._turns = CommandTurns(shard.settings, self._stop)
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
        """Carry out a command when its turn has come."""
        return await self._turns.carry_out(command, begin)

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
            self._turns.over(self._ending)
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
            self._turns.over(self._ending)
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
            backups=BackupKeeper(
                self._shard.settings.backup,
                copier,
                publisher,
                overlay=self._browser.overlay,
                starting=self._shard.admission.is_busy,
            ),
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
            life = Life(
                self._shard, self._record, run, stop=self._stop, turns=self._turns, on_open=self._starting_is_over
            )
            self._ending = await life.live()
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
