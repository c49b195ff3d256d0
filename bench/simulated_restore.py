"""The restore of very many sessions without browsers: what is left is ours, Redis's and the S3 server's."""

import asyncio
import contextlib
import shutil
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil

from bench.form import Run
from bench.restored import LogTail, Restored, back_in
from bench.simulated import alive, child, create, servers, until_all
from daemon.core.settings import load_settings
from daemon.registry import keys
from daemon.registry.registry import Registry
from daemon.sessions.states import SessionState

_LOOK_S = 0.2
_LIMIT_S = 1200.0


async def restore_simulated(
    run: Run, sizes: Mapping[int, int], *, tier: str, shards: int, profiles: Path
) -> dict[int, list[Restored]]:
    """Restore so many sessions so many times; all is real but the browsers, whose pages are connected at once."""
    found: dict[int, list[Restored]] = {}
    with servers(run.work, shards, LOG_FORMAT="json", PROFILE_ROOT=str(profiles)):
        registry = Registry(load_settings())
        crowd = _Crowd(run, registry, shards, profiles)
        try:
            with (run.work / "coordinator.log").open("wb") as log, child("daemon", log=log):
                for before, (size, repeats) in zip((0, *sizes), sizes.items(), strict=False):
                    await crowd.grow(range(before, size))
                    found[size] = [await crowd.restore(tier) for _ in range(repeats)]
                    run.say(f"{size:,} sessions back in {', '.join(f'{one.wall_s:.1f}' for one in found[size])} s")
        finally:
            await registry.close()
    return found


class _Crowd:
    """Shards, each a process of its own, whose sessions have no browsers."""

    def __init__(self, run: Run, registry: Registry, shards: int, profiles: Path) -> None:
        self._run = run
        self._profiles = profiles
        self._registry = registry
        self._names = [f"shard_{number:02d}" for number in range(shards)]
        self._sessions: list[str] = []

    async def grow(self, numbers: range) -> None:
        """Create sessions and have them backed up."""
        async with self._running():
            await until_all(self._run, alive, self._registry, len(self._names), are="shards alive")
            await create(self._registry, numbers)
            self._sessions += [f"session-{number}-1" for number in numbers]
            await until_all(self._run, _archived, self._registry, len(self._sessions), are="sessions archived")

    async def restore(self, tier: str) -> Restored:
        """Wipe every profile, start the shards, and wait for all sessions."""
        await self._wipe(tier)
        logs = [LogTail(self._log(name)) for name in self._names]
        began = datetime.now(UTC)
        async with self._running() as processes:
            lines: list[dict[str, Any]] = []
            waiting = set(self._sessions)
            deadline = asyncio.get_running_loop().time() + _LIMIT_S
            with self._run.progress(f"restore {len(waiting):,} sessions", len(waiting)) as advance:
                while waiting and asyncio.get_running_loop().time() < deadline:
                    await asyncio.sleep(_LOOK_S)
                    new = [line for log in logs for line in log.new()]
                    back = waiting & back_in(new)
                    waiting -= back
                    lines += new
                    advance(len(back))
            cpu_s = sum(sum(process.cpu_times()[:2]) for process in processes)
            pss_mb = sum(process.memory_full_info().pss for process in processes) / 1e6
        return Restored.of(
            lines,
            began,
            len(self._sessions),
            cpu_s={"browsers": 0.0, "shards": cpu_s},
            pss_mb={"browsers": 0.0, "shards": pss_mb},
        )

    @contextlib.asynccontextmanager
    async def _running(self) -> AsyncIterator[list[psutil.Process]]:
        with contextlib.ExitStack() as stack:
            processes = []
            for number, name in enumerate(self._names):
                log = stack.enter_context(self._log(name).open("ab"))
                processes.append(stack.enter_context(child("bench.crowd", "--first", str(number), log=log)))
            yield processes

    async def _wipe(self, tier: str) -> None:
        for sessions in self._profiles.glob("*/sessions"):
            await asyncio.to_thread(shutil.rmtree, sessions)
        without = {"r2": self._sessions, "redis": [], "mixed": self._sessions[::2]}[tier]
        if without:
            await self._registry.link.text.delete(*map(keys.hot_copy, without))

    def _log(self, name: str) -> Path:
        return self._run.work / f"{name}.log"


async def _archived(registry: Registry) -> int:
    return sum(s.status is SessionState.CONNECTED and s.archive is not None for s in await registry.records.all())
