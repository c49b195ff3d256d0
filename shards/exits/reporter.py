"""Writes exit reports to Redis: the newest of each shard, again and again until it is there."""

import asyncio
import contextlib

import structlog

from daemon.core.clock import mono_s
from daemon.core.errors import BlazzError
from daemon.core.loops import sleep_or_stop
from daemon.registry.exits import ExitReport, Exits

log = structlog.get_logger()

# Short against a lease's TTL, after which a report is of no use any more.
_RETRY_S = 0.5
_LOG_AGAIN_S = 30.0
_LAST_TRY_S = 3.0


class Reporter:
    """Reports that are not written yet."""

    def __init__(self, exits: Exits) -> None:
        self._exits = exits
        self._pending: dict[str, ExitReport] = {}
        self._given = asyncio.Event()
        self._logged_mono_s = -_LOG_AGAIN_S

    def give(self, report: ExitReport) -> None:
        """Take a report over, in place of one of the same shard that is not written yet."""
        self._pending[report.shard] = report.following(self._pending.get(report.shard))
        self._given.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Write what is given, until `stop` is set; then try once more for a short time."""
        stopping = asyncio.create_task(stop.wait())
        stopping.add_done_callback(lambda _: self._given.set())
        while not stop.is_set():
            await self._given.wait()
            self._given.clear()
            while self._pending and not await self._write():
                if await sleep_or_stop(_RETRY_S, stop):
                    break
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LAST_TRY_S):
                while self._pending and not await self._write():
                    await asyncio.sleep(_RETRY_S)
        if self._pending:
            log.warning("exit reports lost, leases end by their TTL instead", shards=sorted(self._pending))

    async def _write(self) -> bool:
        """Write what is there; False if Redis did not take all of it."""
        for shard, report in list(self._pending.items()):
            try:
                await self._exits.report(report)
            except BlazzError as error:
                self._complain(error)
                return False
            if self._pending.get(shard) is report:
                del self._pending[shard]
            log.info("exit reported", shard=shard, pid=report.pid, expected=report.expected)
        return not self._pending

    def _complain(self, error: BlazzError) -> None:
        if mono_s() - self._logged_mono_s >= _LOG_AGAIN_S:
            self._logged_mono_s = mono_s()
            log.warning("exit report not written, it is tried again", code=error.code, error=str(error))
