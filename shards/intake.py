"""What this shard should be doing: compares the placements with the runners and makes them agree; takes commands.

Level-triggered: every look starts from the recorded placements, so a lost message is repaired by the next one.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

import structlog

from daemon.core.clock import mono_s
from daemon.core.errors import BlazzError, LeaseHeldError, UnavailableError
from daemon.core.loops import cancel_all, run_every
from daemon.sessions.commands import CommandKind
from daemon.sessions.record import SessionRecord
from daemon.sessions.states import WAITS_FOR_START, Desired
from daemon.sessions.summary import Summary
from shards.context import ShardContext
from shards.runner.ending import Stop
from shards.runner.runner import SessionRunner

log = structlog.get_logger()

_LOOK_INTERVAL_S = 1.0
_UNAVAILABLE_PAUSE_S = 2.0
_HELD_PAUSE_S = 1.0


@dataclass(kw_only=True)
class Slot:
    """One session's place on this shard: its runner while it runs, and when it may run again."""

    runner: SessionRunner | None = None
    task: asyncio.Task[None] | None = field(default=None, repr=False)
    not_before_mono_s: float = 0.0
    not_before_serial: int = -1
    held_elsewhere: bool = False
    """The last try found another holder."""


class Intake:
    """The sessions of this shard."""

    def __init__(self, shard: ShardContext) -> None:
        self._shard = shard
        self._slots: dict[str, Slot] = {}
        self._draining = False
        self.wake = asyncio.Event()

    @property
    def running(self) -> int:
        """How many sessions run now."""
        return sum(slot.runner is not None for slot in self._slots.values())

    def runner(self, session_id: str) -> SessionRunner | None:
        """Return the runner of a session, if it runs here."""
        slot = self._slots.get(session_id)
        return slot.runner if slot else None

    async def run(self, stop: asyncio.Event) -> None:
        """Look again and again until `stop` is set."""
        await run_every(_LOOK_INTERVAL_S, self.look, name="intake", stop=stop, wake=self.wake)

    async def look(self) -> None:
        """Read the placements and start or stop runners accordingly.

        Raises:
            RedisUnavailableError: nobody knows what should run; what runs goes on.
        """
        here = self._shard.identity.name
        placed = {found.session_id: found for found in await self._shard.registry.records.placed_summaries(here)}
        if self._draining:
            return
        placed |= await self._not_listed(placed)
        for session_id, slot in list(self._slots.items()):
            why = stop_reason(slot.runner, placed.get(session_id), here=here)
            if slot.runner is not None and why is not None:
                slot.runner.request_stop(why)
            elif slot.runner is not None and session_id in placed:
                await slot.runner.compare(placed[session_id])
            if slot.runner is None and session_id not in placed:
                del self._slots[session_id]
        due = [found.session_id for found in placed.values() if found.shard == here and self._is_due(found)]
        for record in await self._shard.registry.records.get_many(due):
            self._start(record)

    async def _not_listed(self, placed: Mapping[str, Summary]) -> dict[str, Summary]:
        """Return the summaries of sessions that run here and are not listed as placed here.

        One whose record is gone was deleted, or Redis lost its data: then it runs on, and its record is written again.
        """
        unlisted = [i for i, slot in self._slots.items() if slot.runner is not None and i not in placed]
        found = {one.session_id: one for one in await self._shard.registry.records.summaries_of(unlisted)}
        for session_id in unlisted:
            runner = self.runner(session_id)
            if session_id not in found and runner is not None:
                await runner.confirm()
        return found

    def hurry(self, session_id: str) -> None:
        """Look again at once, without the pause after a lease that was held by another."""
        slot = self._slots.get(session_id)
        if slot is not None and slot.held_elsewhere:
            slot.not_before_mono_s = 0.0
        self.wake.set()

    async def _wake_next(self, session_id: str) -> None:
        """Tell the shard that a session was handed over to that it may begin; if this is lost, it looks by itself."""
        try:
            record = await self._shard.registry.records.get(session_id)
            if record.shard is not None:
                await self._shard.registry.commands.give(record.shard, CommandKind.WAKE, session_id, {})
        except BlazzError as error:
            log.debug("wake lost", session_id=session_id, code=error.code)

    async def _ask_to_store(self, shard: str, session_id: str) -> None:
        """Ask for what we wait for, now that the lease is free for it; if this is lost, it is asked again."""
        try:
            await self._shard.registry.commands.give(shard, CommandKind.STORE, session_id, {})
        except BlazzError as error:
            log.debug("request to store lost", session_id=session_id, code=error.code)

    def _is_due(self, found: Summary) -> bool:
        slot = self._slots.setdefault(found.session_id, Slot())
        if slot.runner is not None or not should_run(found):
            return False
        return mono_s() >= slot.not_before_mono_s or found.serial != slot.not_before_serial

    def _start(self, record: SessionRecord) -> None:
        slot = self._slots.setdefault(record.session_id, Slot())
        if slot.runner is None and not self._draining:
            slot.runner = SessionRunner(self._shard, record)
            slot.task = asyncio.create_task(self._run(record.session_id, slot), name=f"session {record.session_id}")

    async def _run(self, session_id: str, slot: Slot) -> None:
        runner = slot.runner
        assert runner is not None
        pause_s, held = 0.0, False
        try:
            await runner.run()
            pause_s = runner.pause_s
            if runner.stop_asked is Stop.MOVED:
                await self._wake_next(session_id)
            if runner.waits_for is not None:
                await self._ask_to_store(runner.waits_for, session_id)
        except LeaseHeldError as error:
            held = True
            log.info("session is held elsewhere, trying again", session_id=session_id, holder=error.ids.get("holder"))
            pause_s = _HELD_PAUSE_S
        except UnavailableError as error:
            log.warning("session waits", session_id=session_id, code=error.code, error=str(error))
            pause_s = _UNAVAILABLE_PAUSE_S
        except BlazzError as error:
            log.error("session ended by an error", session_id=session_id, code=error.code, error=str(error))
            pause_s = _UNAVAILABLE_PAUSE_S
        except Exception:
            # A bug in one session's run must not take the other sessions of this shard along.
            log.exception("session ended by a bug", session_id=session_id)
            pause_s = 30.0
        finally:
            slot.runner, slot.task, slot.held_elsewhere = None, None, held
            slot.not_before_mono_s, slot.not_before_serial = mono_s() + pause_s, runner.serial
            self.wake.set()

    async def drain(self, *, timeout_s: float) -> list[str]:
        """Stop all sessions with their last backups; return the ids of those that were not done in time."""
        self._draining = True
        tasks: dict[asyncio.Task[None], str] = {}
        for session_id, slot in self._slots.items():
            if slot.runner is not None and slot.task is not None:
                slot.runner.request_stop(Stop.SHUTDOWN)
                tasks[slot.task] = session_id
        if not tasks:
            return []
        log.info("closing sessions", sessions=len(tasks), timeout_s=timeout_s)
        done, late = await asyncio.wait(tasks, timeout=timeout_s)
        log.info("sessions closed", closed=len(done), not_in_time=len(late))
        names = sorted(tasks[task] for task in late)
        if names:
            # Before they are ended, which may take as long as Redis takes: supervisord's patience ends soon.
            log.error("last backup not taken in time; the last live copy stays the newest", session_ids=names)
        await cancel_all(late)
        return names


def should_run(record: Summary) -> bool:
    """Whether a session placed here should be running."""
    return record.desired is Desired.RUNNING and record.status not in WAITS_FOR_START


def stop_reason(runner: SessionRunner | None, record: Summary | None, *, here: str) -> Stop | None:
    """Return why a runner must stop, or None when it is as it should be, or when nobody knows."""
    if runner is None or record is None:
        return None
    if record.token < runner.written_token:
        return None  # Redis fell back to what it was before this run; the renewal of the lease writes the record again
    if record.desired is Desired.DELETED:
        return Stop.DELETED
    if record.desired is Desired.STOPPED:
        return Stop.STOPPED
    if record.shard is not None and record.shard != here:
        return Stop.MOVED
    return Stop.RESTART if record.serial != runner.serial else None
