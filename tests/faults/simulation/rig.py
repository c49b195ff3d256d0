"""What many schedules share, and running many of them at once."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Iterator, Sequence

import structlog

from tests.faults.simulation.processes import Zygote, zygote
from tests.faults.simulation.running import Rig, Verdict, run_schedule
from tests.faults.simulation.schedule import Schedule
from tests.servers.s3 import S3Server, r2local_server

AT_ONCE = 8
_CALM_TRIES = 50
_NAP_S = 0.2
_LATE_S = 0.1


class Yard:
    """Runs schedules, several at once. Each has a bucket of its own: coordinators look through all of theirs."""

    def __init__(self, zygote: Zygote, store: S3Server, buckets: Sequence[str]) -> None:
        self._zygote = zygote
        self._store = store
        self._buckets = list(buckets)

    def _rig(self) -> Rig:
        store = {**self._store.environment(), "R2_BUCKET_NAME": self._buckets.pop()}
        return Rig(zygote=self._zygote, store=store)

    async def run(self, schedules: Sequence[Schedule], *, at_once: int = AT_ONCE) -> list[Verdict]:
        """Run schedules and return their verdicts in the same order."""
        room = asyncio.Semaphore(at_once)

        async def one(schedule: Schedule) -> Verdict:
            async with room:
                await _calm()
                return await run_schedule(schedule, self._rig())

        return list(await asyncio.gather(*(one(schedule) for schedule in schedules)))


async def _calm() -> None:
    """Wait while this machine is so busy that a healthy process could lose its lease, but not for ever."""
    for _ in range(_CALM_TRIES):
        began_mono_s = time.monotonic()
        await asyncio.sleep(_NAP_S)
        if time.monotonic() - began_mono_s < _NAP_S + _LATE_S:
            return


@contextlib.contextmanager
def open_yard(*, buckets: int) -> Iterator[Yard]:
    """Start a zygote and an object store that is good for so many schedules."""
    names = [f"sim-{number:04d}" for number in range(buckets)]
    with _quiet(), zygote() as processes, r2local_server(buckets=names) as store:
        yield Yard(processes, store, names)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Log errors alone: what the runner does to sessions is in the history. Other tests keep their logging."""
    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    try:
        yield
    finally:
        structlog.configure(**before)
