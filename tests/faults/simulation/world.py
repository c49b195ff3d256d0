"""One simulated world: Redis, shards, coordinators and the judge, with what can be done to them."""

import asyncio
import contextlib
import signal
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass
from pathlib import Path

from daemon.core.sections import PathSettings
from tests.faults.simulation.eavesdropping import Eavesdropper
from tests.faults.simulation.history import History, Kind
from tests.faults.simulation.judge import Judge
from tests.faults.simulation.jumping import jump, make_clock
from tests.faults.simulation.listening import Listener
from tests.faults.simulation.processes import Child, RedisServer, Zygote
from tests.faults.simulation.proxy import Proxy, Weather
from tests.faults.simulation.schedule import REDIS, Blow, Fault, Schedule


@dataclass(kw_only=True)
class Member:
    """One process of the product under the eyes of what stands for supervisord: ended, it is started again."""

    name: str
    folder: Path
    redis_url: str
    proxy: Proxy | None = None
    child: Child | None = None
    keeping: asyncio.Task[None] | None = None
    pause_s: float = 0.05
    """How long until it is started again after its next end."""
    told_to_stop: bool = False
    """Whether its next end was asked for."""

    @property
    def log(self) -> Path:
        """What it and its earlier processes logged."""
        return self.folder.with_suffix(".log")

    @property
    def clock(self) -> Path:
        """How wrong its wall clock is."""
        return self.folder.with_suffix(".clock")


class World:
    """Everything of one schedule."""

    def __init__(self, schedule: Schedule, folder: Path, zygote: Zygote, store: Mapping[str, str]) -> None:
        self._schedule = schedule
        self._folder = folder
        self._zygote = zygote
        self._store = store
        self._judge_socket = folder / "judge.sock"
        self._tasks: set[asyncio.Task[None]] = set()
        self._shaken: asyncio.Lock = asyncio.Lock()
        self.history = History()
        self.judge = Judge(self.history)
        self.redis = RedisServer(folder, keeps=not schedule.lossy)
        self.ear = Eavesdropper(self.history)
        self._listener = Listener(self.redis.socket, self.history, schedule.listening, seed=schedule.seed)
        self._reports: set[asyncio.Task[None]] = set()
        self.members = {name: self._member(name) for name in _names(schedule)}

    def _member(self, name: str) -> Member:
        folder = self._folder / name
        if name not in self._schedule.reached_over_a_line:
            return Member(name=name, folder=folder, redis_url=f"unix://{self.redis.socket}")
        proxy = Proxy(self._folder / f"{name}.sock", self.redis.socket)
        return Member(name=name, folder=folder, redis_url=f"unix://{proxy.path}", proxy=proxy)

    @property
    def not_running(self) -> list[str]:
        """The processes that are not there now."""
        return [name for name, member in self.members.items() if member.child is None or not member.child.lives]

    async def start(self) -> None:
        """Start everything."""
        await self.judge.listen(self._judge_socket)
        await self._start_redis()
        for member in self.members.values():
            member.folder.mkdir()
            make_clock(member.clock)
            if member.proxy is not None:
                await member.proxy.open()
            member.keeping = asyncio.create_task(self._keep(member), name=f"keeping {member.name}")

    async def end(self) -> None:
        """Kill everything."""
        keeping = [member.keeping for member in self.members.values() if member.keeping is not None]
        for task in [*self._tasks, *keeping, *self._reports]:
            task.cancel()
        await asyncio.gather(*self._tasks, *keeping, *self._reports, return_exceptions=True)
        await self._listener.close()
        for member in self.members.values():
            if member.child is not None:
                member.child.signal(signal.SIGKILL)
                await member.child.ended()
                member.child.close()
            if member.proxy is not None:
                await member.proxy.close()
        self.redis.kill()
        await self.ear.end()
        await self.judge.close()

    async def _start_redis(self) -> None:
        await self.redis.start()
        await self.ear.follow(self.redis.hidden_socket)
        self.redis.show()

    async def _keep(self, member: Member) -> None:
        while True:
            member.child = self._zygote.fork(
                {
                    "kind": "coordinator" if member.name.startswith("coordinator") else "shard",
                    "name": member.name,
                    "seed": self._schedule.seed,
                    "data_root": str(member.folder),
                    "redis_url": member.redis_url,
                    "store": dict(self._store),
                    "archives_soon": self._schedule.lossy,
                    "judge": str(self._judge_socket),
                    "log": str(member.log),
                    "clock": str(member.clock),
                    "breaks": list(self._schedule.breaks),
                }
            )
            await member.child.ended()
            self.history.note(Kind.FAULT, "process has ended", name=member.name, pid=member.child.pid)
            self._report(member)
            child, member.child = member.child, None
            child.close()
            await asyncio.sleep(member.pause_s)
            member.pause_s = 0.1

    def _report(self, member: Member) -> None:
        told_to_stop, member.told_to_stop = member.told_to_stop, False
        if member.name.startswith("shard") and member.child is not None:
            run_dir = PathSettings(DATA_ROOT=member.folder).run_dir
            telling = self._listener.tell(member.name, member.child.pid, run_dir, told_to_stop=told_to_stop)
            report = asyncio.create_task(telling)
            self._reports.add(report)
            report.add_done_callback(self._reports.discard)

    def deal(self, fault: Fault) -> None:
        """Deal a blow; what it does later is done in the background."""
        self.history.note(Kind.FAULT, fault.blow, target=fault.target, for_s=round(fault.for_s, 2))
        if fault.target == REDIS:
            self._later(self._shake_redis(fault))
        else:
            self._later(self._strike(self.members[fault.target], fault))

    def _later(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _strike(self, member: Member, fault: Fault) -> None:
        child = member.child
        match fault.blow:
            case Blow.JUMP:
                jump(member.clock, fault.for_s)
            case Blow.HANG | Blow.BREAK:
                assert member.proxy is not None
                await member.proxy.turn(Weather.HANGS if fault.blow is Blow.HANG else Weather.BREAKS)
                await asyncio.sleep(fault.for_s)
                await member.proxy.turn(Weather.FAIR)
            case Blow.STOP if child is not None:
                child.signal(signal.SIGSTOP)
                await asyncio.sleep(fault.for_s)
                if member.child is child:
                    child.signal(signal.SIGCONT)
            case Blow.KILL | Blow.END if child is not None:
                member.pause_s = fault.for_s
                member.told_to_stop = fault.blow is Blow.END
                child.signal(signal.SIGKILL if fault.blow is Blow.KILL else signal.SIGTERM)

    async def _shake_redis(self, fault: Fault) -> None:
        async with self._shaken:
            match fault.blow:
                case Blow.STOP:
                    self.redis.signal(signal.SIGSTOP)
                    await asyncio.sleep(fault.for_s)
                    self.redis.signal(signal.SIGCONT)
                case Blow.KILL:
                    self.redis.kill()
                    await self.ear.end()
                    if self._schedule.lossy:
                        self.ear.lost()
                    await asyncio.sleep(fault.for_s)
                    await self._start_redis()
                case Blow.EMPTY:
                    await self.redis.ask("FLUSHALL")
                case Blow.SAVE:
                    await self.redis.ask("SAVE")

    async def heal(self) -> None:
        """End all faults: everything runs, and is reached."""
        while self._tasks:
            await asyncio.wait(self._tasks)
        for member in self.members.values():
            if member.proxy is not None:
                await member.proxy.turn(Weather.FAIR)
            if member.child is not None:
                member.child.signal(signal.SIGCONT)
        self.history.note(Kind.FAULT, "all faults are over")

    def logs(self) -> str:
        """Return the ends of all logs."""
        parts = []
        for member in self.members.values():
            with contextlib.suppress(FileNotFoundError):
                parts.append(f"== {member.name}\n" + member.log.read_text(errors="replace")[-20_000:])
        return "\n".join(parts)


def _names(schedule: Schedule) -> list[str]:
    shards = [f"shard_{number:02d}" for number in range(schedule.shards)]
    return shards + [f"coordinator_{number}" for number in range(schedule.coordinators)]
