"""How long does a census of the bucket take? `python -m bench.census [--sessions N] [--latency-ms MS]`.

Against a store of generated objects that answers as R2 does, each request after so many milliseconds: what is measured
is our side, and how the store's distance multiplies. Beside each time stands the least that it can be: the requests'
latencies, as many at once as are allowed.
"""

import asyncio
import gc
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass

import click

from bench.form import Run, bench
from bench.peaks import reset_peak, status_bytes
from bench.report import Chart, Report, Spread, Table
from daemon.objectstore.archives import Archives
from daemon.objectstore.census import census
from daemon.objectstore.config import ObjectStoreConfig
from tests.servers.child import running

_PARALLEL = (4, 8, 16, 32)
_QUICK_PARALLEL = (8, 32)
_QUICK_SESSIONS = 100
_KEY = "of-nobody"


@dataclass(frozen=True, kw_only=True)
class Counted:
    """One census. `grew_bytes`: the most memory of this process, above that before it."""

    parallel: int
    sessions: int
    wall_s: float
    cpu_s: float
    class_a: int
    class_b: int
    grew_bytes: int

    def least_s(self, latency_ms: float) -> float:
        """Return what the store's latency alone takes."""
        return (self.class_a + self.class_b) * latency_ms / 1000 / self.parallel


@bench(title="How long does a census of the bucket take?")
@click.option("--sessions", default=3000, show_default=True, type=click.IntRange(1), help="Sessions in the bucket.")
@click.option("--latency-ms", default=40.0, show_default=True, help="How long the store takes to answer.")
@click.option("--repeats", default=3, show_default=True, type=click.IntRange(1))
async def main(run: Run, *, sessions: int, latency_ms: float, repeats: int) -> Report:
    """Count the bucket's sessions with more and more requests at once."""
    parallels = _PARALLEL
    if run.quick:
        sessions, repeats, parallels = _QUICK_SESSIONS, 1, _QUICK_PARALLEL
    options = ("--sessions", str(sessions), "--latency-ms", str(latency_ms))
    counted: dict[int, list[Counted]] = {parallel: [] for parallel in parallels}
    with (
        running([sys.executable, "-m", "bench.bucket", *options], ready=r"http://\S+") as found,
        run.progress("taking a census", 1 + repeats * len(parallels)) as advance,
    ):
        config = ObjectStoreConfig(endpoint=found[0], access_key=_KEY, secret_key=_KEY, bucket="bench", connections=64)
        first = await _count(config, parallel=max(parallels))
        advance()
        for _ in range(repeats):
            for parallel in parallels:
                counted[parallel].append(await _count(config, parallel=parallel))
                advance()
    return _report(first, counted, latency_ms)


async def _count(config: ObjectStoreConfig, *, parallel: int) -> Counted:
    with ThreadPoolExecutor(parallel) as threads:
        archives = Archives(config, threads)
        while not (await archives.health()).connected:
            await asyncio.sleep(0.05)
        gc.collect()
        reset_peak()
        before_bytes, before, sessions = status_bytes("VmHWM"), archives.usage(), 0
        began_mono_s, began_cpu_s = time.perf_counter(), time.process_time()
        async for _ in census(archives, parallel=parallel):
            sessions += 1
        wall_s, cpu_s = time.perf_counter() - began_mono_s, time.process_time() - began_cpu_s
        usage = archives.usage()
    return Counted(
        parallel=parallel,
        sessions=sessions,
        wall_s=round(wall_s, 2),
        cpu_s=round(cpu_s, 2),
        class_a=usage.class_a - before.class_a,
        class_b=usage.class_b - before.class_b,
        grew_bytes=max(0, status_bytes("VmHWM") - before_bytes),
    )


def _report(first: Counted, counted: dict[int, list[Counted]], latency_ms: float) -> Report:
    """`first` warms up; only its growth is that of a process which has not done this before."""
    sessions = first.sessions
    wall_s = {parallel: Spread.of(one.wall_s for one in of) for parallel, of in counted.items()}
    fastest = min(wall_s, key=lambda parallel: wall_s[parallel].median)
    return Report(
        headlines=[
            f"{sessions:,} sessions are counted in {wall_s[fastest].text()} s with {fastest} requests at once, each "
            f"answered after {latency_ms:g} ms; that alone takes {counted[fastest][0].least_s(latency_ms):.1f} s",
            f"the first census, {first.parallel} at once, takes {first.grew_bytes / 1e6:.1f} MB more memory at most",
        ],
        tables=[_table(counted, wall_s, latency_ms)],
        data={
            "sessions": sessions,
            "latency_ms": latency_ms,
            "grew_bytes": first.grew_bytes,
            "wall_s": {parallel: asdict(spread) for parallel, spread in wall_s.items()},
            "runs": [asdict(one) for of in counted.values() for one in of],
        },
        charts=[
            Chart(
                title=f"a census of {sessions:,} sessions, {latency_ms:g} ms each request",
                x_label="requests at once",
                y_label="seconds",
                series={
                    "measured": [(parallel, spread.median) for parallel, spread in wall_s.items()],
                    "the store's latency alone": [
                        (parallel, of[0].least_s(latency_ms)) for parallel, of in counted.items()
                    ],
                },
            )
        ],
    )


def _table(counted: dict[int, list[Counted]], wall_s: dict[int, Spread], latency_ms: float) -> Table:
    return Table(
        title=f"a census of {counted[min(counted)][0].sessions:,} sessions",
        columns=("at once", "seconds", "latency alone", "CPU s", "Class A", "Class B"),
        rows=[_row(of, wall_s[parallel], latency_ms) for parallel, of in counted.items()],
        caption=f"each request is answered after {latency_ms:g} ms; medians and ranges of {len(counted[min(counted)])}",
    )


def _row(of: Sequence[Counted], wall_s: Spread, latency_ms: float) -> tuple[str, ...]:
    one = of[0]
    return (
        str(one.parallel),
        wall_s.text(".2f"),
        f"{one.least_s(latency_ms):.2f}",
        Spread.of(each.cpu_s for each in of).text(".2f"),
        str(one.class_a),
        str(one.class_b),
    )


if __name__ == "__main__":
    main()
