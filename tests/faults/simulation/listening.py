"""What stands for the exit listener under supervisord: tells Redis how shards ended, at once, late, or not at all."""

import asyncio
import random
import signal
import socket
from pathlib import Path

from pydantic import SecretStr

from daemon.core.clock import utc_now
from daemon.core.errors import BlazzError
from daemon.core.sections import RedisSettings
from daemon.registry.exits import ExitReport, Exits
from daemon.registry.link import RedisLink
from shards.exits.remains import dead_holder, end_browsers
from tests.faults.simulation.history import History, Kind
from tests.faults.simulation.schedule import Listening

_BROWSERS_GONE_S = 2.0
_RETRY_S = 0.2
_LATEST_S = 3.0


class Listener:
    """The listener of one schedule."""

    def __init__(self, redis: Path, history: History, listening: Listening, *, seed: int) -> None:
        self._link = RedisLink(RedisSettings(REDIS_URL=SecretStr(f"unix://{redis}"), REDIS_TIMEOUT_MS=400))
        self._history = history
        self._listening = listening
        self._choices = random.Random(f"listener {seed}")
        self._turns: dict[str, asyncio.Lock] = {}

    async def close(self) -> None:
        """Close its line to Redis."""
        await self._link.close()

    async def tell(self, shard: str, pid: int, run_dir: Path, *, told_to_stop: bool) -> None:
        """Report the end of a shard's process, once what it left is dead."""
        if self._listening is Listening.NEVER:
            return
        at = utc_now()
        async with self._turns.setdefault(shard, asyncio.Lock()):
            if self._listening is Listening.LATE:
                await asyncio.sleep(self._choices.uniform(0.0, _LATEST_S))
            holder = await asyncio.to_thread(dead_holder, shard, pid, run_dir)
            if holder is None:
                return
            gone = await asyncio.to_thread(end_browsers, run_dir / f"{shard}.chromium", timeout_s=_BROWSERS_GONE_S)
            report = ExitReport(
                shard=shard, holder_prefix=holder if gone else "", host=socket.gethostname(), pid=pid,
                expected=told_to_stop, code_text=signal.SIGTERM.name if told_to_stop else "exited unexpectedly",
                at=at, recent=() if told_to_stop else (at,),
            )  # fmt: skip
            while not await self._written(report):
                await asyncio.sleep(_RETRY_S)
            self._history.note(Kind.FAULT, "exit is reported", name=shard, pid=pid, frees=report.holder_prefix)

    async def _written(self, report: ExitReport) -> bool:
        try:
            await Exits(self._link).report(report)
        except BlazzError:
            return False
        return True
