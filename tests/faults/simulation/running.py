"""Running one schedule from an empty world to the verdict."""

import asyncio
import contextlib
import shutil
import tempfile
import time
import traceback
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from daemon.core.errors import BlazzError
from daemon.sessions.record import SessionRecord
from daemon.sessions.states import Desired, SessionState
from tests.faults.simulation.checking import NOTHING, LoginCheck
from tests.faults.simulation.history import Kind
from tests.faults.simulation.pace import Place, quick_settings
from tests.faults.simulation.processes import Zygote
from tests.faults.simulation.schedule import Schedule
from tests.faults.simulation.wishes import Asking
from tests.faults.simulation.world import World
from tests.places import SHORT

_CONNECT_ALL_S = 60.0
_SETTLE_S = 60.0
_SEE_MORE_S = 2.0
_STAYS_S = 0.5
_POLL_S = 0.1


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """How a schedule ended. `broken` is empty if all was well; `report` tells everything that happened."""

    schedule: Schedule
    broken: tuple[str, ...]
    report: str
    logins: int
    settled_s: float
    """How long it took, once all faults were over, until everything was as wanted."""


@dataclass(frozen=True, kw_only=True)
class Rig:
    """What schedules share: where processes come from, and an object store with an empty bucket for each."""

    zygote: Zygote
    store: Mapping[str, str]


async def run_schedule(schedule: Schedule, rig: Rig) -> Verdict:
    """Run a schedule in a world of its own; what goes wrong with the world itself counts as broken."""
    try:
        return await _run(schedule, rig)
    except Exception:
        report = traceback.format_exc()
        return Verdict(schedule=schedule, broken=("the world itself",), report=report, logins=0, settled_s=0.0)


async def _run(schedule: Schedule, rig: Rig) -> Verdict:
    folder = Path(tempfile.mkdtemp(prefix="sim-", dir=SHORT))  # short: a socket's path may have 107 bytes only
    world = World(schedule, folder, rig.zygote, rig.store)
    redis_url = f"unix://{world.redis.socket}"
    place = Place(data_root=folder / "asking", redis_url=redis_url, store=rig.store, archives_soon=schedule.lossy)
    asking = Asking(quick_settings(place), world.history, seed=schedule.seed)
    trial = _Trial(schedule, world, asking)
    try:
        await world.start()
        settled_s = await trial.run()
    finally:
        await world.end()
        await asking.close()
    verdict = trial.verdict(settled_s)
    with contextlib.suppress(OSError):
        shutil.rmtree(folder)
    return verdict


class _Trial:
    """One schedule under way."""

    def __init__(self, schedule: Schedule, world: World, asking: Asking) -> None:
        self._schedule = schedule
        self._world = world
        self._asking = asking
        self._wrong: list[str] = []

    async def run(self) -> float:
        await self._asking.create_all(self._schedule.sessions)
        if not await self._until_settled(_CONNECT_ALL_S, stays_s=0):
            self._wrong = [f"before any fault: {line}" for line in self._wrong]
            return 0.0
        if self._schedule.lossy and not await self._until_archived():
            self._wrong = ["before any fault: not all sessions are archived"]
            return 0.0
        self._world.history.note(Kind.FAULT, "all are connected")
        await self._strike()
        await self._world.heal()
        began_mono_s = time.monotonic()
        await self._until_settled(_SETTLE_S)
        return time.monotonic() - began_mono_s

    async def _until_archived(self) -> bool:
        """Wait until losing Redis would lose no session."""
        for _ in range(int(_CONNECT_ALL_S / _POLL_S)):
            check = LoginCheck.of(self._world.history.entries)
            if all(check.in_store(session_id) for session_id in self._asking.wanted):
                return True
            await asyncio.sleep(_POLL_S)
        return False

    async def _strike(self) -> None:
        began_mono_s = time.monotonic()

        async def at(at_s: float, act: Callable[[], Awaitable[None]]) -> None:
            await asyncio.sleep(began_mono_s + at_s - time.monotonic())
            await act()

        async with asyncio.TaskGroup() as tasks:
            for fault in self._schedule.faults:
                tasks.create_task(at(fault.at_s, lambda fault=fault: self._deal(fault)))  # type: ignore[misc]
            for asked in self._schedule.wishes:
                tasks.create_task(at(asked.at_s, lambda asked=asked: self._asking.ask(asked.wish, asked.session)))  # type: ignore[misc]
            for drain in self._schedule.drains:
                tasks.create_task(at(drain.at_s, lambda drain=drain: self._asking.drain(drain.shard, drain.for_s)))  # type: ignore[misc]

    async def _deal(self, fault: object) -> None:
        self._world.deal(fault)  # type: ignore[arg-type]

    async def _until_settled(self, limit_s: float, *, stays_s: float = _STAYS_S) -> bool:
        """Wait until everything is as wanted, and stays so; what is wrong at last is in `_wrong`."""
        began_mono_s, right_since_mono_s = time.monotonic(), None
        while (waited_s := time.monotonic() - began_mono_s) < limit_s:
            if self._world.history.broken and waited_s > _SEE_MORE_S:
                break  # it may never settle, and nothing more is to be learned from it
            try:
                self._wrong = await self._differences()
            except BlazzError as error:
                self._wrong = [f"Redis does not answer: {error}"]
            right_since_mono_s = None if self._wrong else right_since_mono_s or time.monotonic()
            if right_since_mono_s is not None and time.monotonic() - right_since_mono_s >= stays_s:
                return True
            await asyncio.sleep(_POLL_S)
        return False

    async def _differences(self) -> list[str]:
        records = await self._asking.records()
        wrong = [f"{name} does not run" for name in self._world.not_running]
        for session_id, wanted in self._asking.wanted.items():
            record = records.get(session_id)
            if record is None:
                wrong += self._without_record(session_id, wanted)
                continue
            wrong += self._not_as_wished(record, wanted)
            wrong += await self._not_as_recorded(record)
        return wrong

    def _without_record(self, session_id: str, wanted: Desired | None) -> list[str]:
        holders = self._world.judge.living(session_id)
        if holders:
            return [f"{session_id} has no record and runs in {holders}"]
        forgotten = self._schedule.lossy and self._durable(session_id) == NOTHING
        return [] if wanted in {Desired.DELETED, None} or forgotten else [f"{session_id} has no record"]

    def _durable(self, session_id: str) -> tuple[int, int]:
        return LoginCheck.of(self._world.history.entries).durable(session_id)

    def _not_as_wished(self, record: SessionRecord, wanted: Desired | None) -> list[str]:
        # A Redis that lost data may have lost what was asked of it, too.
        if wanted is None or self._schedule.lossy or record.desired is wanted:
            return []
        return [f"{record.session_id} should be {wanted}, and its record says {record.desired}"]

    async def _not_as_recorded(self, record: SessionRecord) -> list[str]:
        holders = self._world.judge.living(record.session_id)
        if record.desired is Desired.RUNNING:
            right = record.status is SessionState.CONNECTED and len(holders) == 1
            if record.status is SessionState.DISCONNECTED and self._durable(record.session_id) == NOTHING:
                await self._asking.start_again(record.session_id)  # nothing of it was ever stored
        else:
            right = record.desired is Desired.STOPPED and record.status is SessionState.STOPPED and not holders
        if right:
            return []
        return [f"{record.session_id} is wanted {record.desired}: {record.status} ({record.reason}), run by {holders}"]

    def verdict(self, settled_s: float) -> Verdict:
        history = self._world.history
        check = LoginCheck.of(history.entries)
        broken = [history.line(entry) for entry in history.broken]
        broken += [
            f"{x.session_id}: {x.broken}: came with {x.presented}, durable {x.durable}" for x in check.complaints
        ]
        broken += self._wrong
        report = "\n".join([*broken, str(self._schedule), str(history), self._world.logs()])
        return Verdict(
            schedule=self._schedule,
            broken=tuple(broken),
            report=report,
            logins=history.count(Kind.GIVEN),
            settled_s=settled_s,
        )


def broken_by(schedule: Schedule, *breaks: str) -> Schedule:
    """Return the same schedule for a product that is deliberately broken."""
    return replace(schedule, breaks=breaks)
