"""What do N sessions cost Redis and the coordinator? `python -m bench.control_plane [--sessions N] [--shards M]`.

Real shards, a real coordinator and a real Redis; the sessions have no browser, are connected at once, and rest. In
Chromium's place nothing is measured, so shards look at their pages seldom: what remains is the control plane. Numbers
at a tenth and at half of the sessions stand beside those of all of them.
"""

import asyncio
import contextlib
import os
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field

import click
import psutil

from bench.form import Run, bench
from bench.report import Chart, Report, Spread, Table
from bench.simulated import alive, child, connected, create, placed, servers, until_all
from daemon.coordinator.leader import Leadership
from daemon.coordinator.reconcile import Reconciler
from daemon.coordinator.steps import plan_steps
from daemon.core.settings import Settings, load_settings
from daemon.registry.registry import Registry

_WORKERS = max(1, (os.cpu_count() or 2))
_LOOKS_S = 3600.0
_LOOK_S_EACH = 0.0005
_COMMANDS_SHOWN = 8


@dataclass(frozen=True, kw_only=True)
class Size:
    """How much is measured."""

    steps: tuple[int, ...]
    """Sessions, each time measured at rest."""
    shards: int
    settle_s: float
    """Between the last session connected and the measurement."""
    rest_s: float
    rounds: int
    """Of the reconcile times."""


_QUICK = Size(steps=(10, 20), shards=1, settle_s=0.5, rest_s=1.0, rounds=2)


@dataclass(frozen=True, kw_only=True)
class Rest:
    """What so many resting sessions cost. Percent are of one core."""

    sessions: int
    shards: int
    placed_s: float
    """From the creation of the sessions that were added until all had a shard."""
    connected_s: float
    """The same until all were connected."""
    redis_operations_per_s: float
    redis_cpu_percent: float
    redis_in_bytes_per_s: float
    redis_out_bytes_per_s: float
    redis_memory_bytes: int
    coordinator_cpu_percent: float
    crowd_cpu_percent: float
    """Of all shards together."""
    look_ms: Spread
    """One look at all shards and all sessions, as the reconcile loop does when something has changed."""
    plan_ms: Spread
    look_at_shards_ms: Spread
    """The look of a cycle in which nothing has changed."""
    commands_per_s: dict[str, float] = field(default_factory=dict)


@bench(title="What do sessions cost Redis and the coordinator?")
@click.option("--sessions", default=10_000, show_default=True, type=click.IntRange(10), help="How many in the end.")
@click.option("--shards", default=50, show_default=True, type=click.IntRange(1), help="How many shards.")
@click.option("--seconds", default=20.0, show_default=True, help="How long to measure at rest.")
async def main(run: Run, *, sessions: int, shards: int, seconds: float) -> Report:
    """Let more and more sessions without browsers rest, and measure."""
    steps = (sessions // 10, sessions // 2, sessions)
    size = Size(steps=steps, shards=shards, settle_s=10.0, rest_s=seconds, rounds=5)
    size = _QUICK if run.quick else size
    with servers(run.work, size.shards, SESSION_BACKUP_ENABLED="false", LOG_LEVEL="ERROR"):
        return _report(await _measure(run, size))


async def _measure(run: Run, size: Size) -> list[Rest]:
    settings = load_settings()
    rests: list[Rest] = []
    async with contextlib.AsyncExitStack() as stack:
        registry = Registry(settings)
        stack.push_async_callback(registry.close)
        crowd = [stack.enter_context(child("bench.crowd", *part)) for part in _parts(size.shards)]
        coordinator = stack.enter_context(child("daemon"))
        await until_all(run, alive, registry, size.shards, are="shards alive")
        for made, sessions in zip((0, *size.steps), size.steps, strict=False):
            began_mono_s = time.monotonic()
            await create(registry, range(made, sessions))
            placed_s = await until_all(run, placed, registry, sessions, are="sessions placed") - began_mono_s
            connected_s = await until_all(run, connected, registry, sessions, are="sessions connected") - began_mono_s
            await asyncio.sleep(size.settle_s)
            run.say(f"{sessions:,} sessions rest for {size.rest_s:g} s")
            cost = await _cost(registry, crowd, coordinator, size.rest_s)
            times = await _reconcile_times(registry, settings, size.rounds)
            rests.append(
                Rest(sessions=sessions, shards=size.shards, placed_s=placed_s, connected_s=connected_s, **cost, **times)
            )
    return rests


def _parts(shard_count: int) -> list[list[str]]:
    sizes = [shard_count // _WORKERS + (number < shard_count % _WORKERS) for number in range(_WORKERS)]
    firsts = [sum(sizes[:number]) for number in range(_WORKERS)]
    return [
        ["--first", str(first), "--count", str(size), "--looks-s", str(_LOOKS_S)]
        for first, size in zip(firsts, sizes, strict=True)
        if size
    ]


async def _cost(
    registry: Registry, crowd: Sequence[psutil.Process], coordinator: psutil.Process, seconds: float
) -> dict[str, object]:
    before = await _sample(registry, crowd, coordinator)
    await asyncio.sleep(seconds)
    after = await _sample(registry, crowd, coordinator)
    passed_s = after["at_s"] - before["at_s"]
    rates = {name: (after[name] - before.get(name, 0.0)) / passed_s for name in after}
    calls = {
        name.removeprefix("calls "): rate for name, rate in rates.items() if name.startswith("calls ") and rate > 0
    }
    return {
        "redis_operations_per_s": sum(calls.values()),
        "redis_cpu_percent": rates["redis"] * 100,
        "redis_in_bytes_per_s": rates["in"],
        "redis_out_bytes_per_s": rates["out"],
        "redis_memory_bytes": int(after["memory"]),
        "coordinator_cpu_percent": rates["coordinator"] * 100,
        "crowd_cpu_percent": rates["crowd"] * 100,
        "commands_per_s": dict(Counter(calls).most_common()),
    }


async def _sample(registry: Registry, crowd: Sequence[psutil.Process], coordinator: psutil.Process) -> dict[str, float]:
    info = await registry.link.text.info("all")
    calls = {
        f"calls {name.removeprefix('cmdstat_')}": float(facts["calls"])
        for name, facts in info.items()
        if name.startswith("cmdstat_")
    }
    return {
        "at_s": time.monotonic(),
        "redis": info["used_cpu_user"] + info["used_cpu_sys"],
        "in": float(info["total_net_input_bytes"]),
        "out": float(info["total_net_output_bytes"]),
        "memory": float(info["used_memory"]),
        "coordinator": _cpu_s(coordinator),
        "crowd": sum(_cpu_s(process) for process in crowd),
        **calls,
    }


def _cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


async def _reconcile_times(registry: Registry, settings: Settings, rounds: int) -> dict[str, Spread]:
    """Return what the parts of a cycle take, taken beside the coordinator that really does it."""
    reconciler = Reconciler(registry, Leadership(registry, "bench"), settings)
    parts: dict[str, list[float]] = {"look_at_shards_ms": [], "look_ms": [], "plan_ms": []}
    for _ in range(rounds):
        began_mono_s = time.monotonic()
        stands = await reconciler._look_at_shards()
        looked_mono_s = time.monotonic()
        view = await reconciler._look(stands)
        seen_mono_s = time.monotonic()
        plan_steps(view)
        parts["look_at_shards_ms"].append((looked_mono_s - began_mono_s) * 1000)
        parts["look_ms"].append((seen_mono_s - looked_mono_s) * 1000)
        parts["plan_ms"].append((time.monotonic() - seen_mono_s) * 1000)
    return {name: Spread.of(times) for name, times in parts.items()}


_LINES: tuple[tuple[str, Callable[[Rest], float]], ...] = (
    ("all added placed, s", lambda rest: rest.placed_s),
    ("all added connected, s", lambda rest: rest.connected_s),
    ("Redis operations a second", lambda rest: rest.redis_operations_per_s),
    ("Redis operations a second and session", lambda rest: rest.redis_operations_per_s / rest.sessions),
    ("Redis CPU, % of a core", lambda rest: rest.redis_cpu_percent),
    ("to Redis, kB a second", lambda rest: rest.redis_in_bytes_per_s / 1000),
    ("from Redis, kB a second", lambda rest: rest.redis_out_bytes_per_s / 1000),
    ("Redis memory, MB", lambda rest: rest.redis_memory_bytes / 1e6),
    ("coordinator CPU, % of a core", lambda rest: rest.coordinator_cpu_percent),
    ("reconcile: look at the shards, ms", lambda rest: rest.look_at_shards_ms.median),
    ("reconcile: look at all sessions, ms", lambda rest: rest.look_ms.median),
    ("reconcile: plan, ms", lambda rest: rest.plan_ms.median),
    ("shards' CPU, ms a second and session", lambda rest: rest.crowd_cpu_percent * 10 / rest.sessions),
)


def _report(rests: list[Rest]) -> Report:
    many = rests[-1]
    return Report(
        headlines=[
            f"{many.sessions:,} sessions at rest on {many.shards} shards: {many.redis_operations_per_s:,.0f} Redis "
            f"operations a second; Redis takes {many.redis_cpu_percent:.1f} % of a core, the coordinator "
            f"{many.coordinator_cpu_percent:.1f} %",
            f"a look at all of them takes {many.look_ms.text('.0f')} ms, the plan {many.plan_ms.text('.0f')} ms",
        ],
        tables=[_costs_table(rests), _commands_table(rests)],
        data={"rests": [asdict(rest) for rest in rests]},
        charts=_charts(rests),
    )


def _costs_table(rests: list[Rest]) -> Table:
    rows = []
    for name, of in _LINES:
        values = [of(rest) for rest in rests]
        grows = f"{values[-1] / values[0]:.1f}x" if values[0] else ""
        rows.append((name, *(f"{value:,.2f}" for value in values), grows))
    return Table(
        title=f"sessions at rest on {rests[0].shards} shards, without browsers",
        columns=("", *(f"{rest.sessions:,} sessions" for rest in rests), "grows by"),
        rows=rows,
        caption="times of the reconcile loop are medians",
    )


def _commands_table(rests: list[Rest]) -> Table:
    commands = list(rests[-1].commands_per_s)[:_COMMANDS_SHOWN]
    return Table(
        title="Redis commands a second",
        columns=("", *(f"{rest.sessions:,} sessions" for rest in rests)),
        rows=[(name, *(f"{rest.commands_per_s.get(name, 0.0):,.1f}" for rest in rests)) for name in commands],
    )


def _charts(rests: list[Rest]) -> list[Chart]:
    return [
        Chart(
            title="processor time at rest",
            x_label="sessions",
            y_label="% of a core",
            series={
                "Redis": [(rest.sessions, rest.redis_cpu_percent) for rest in rests],
                "coordinator": [(rest.sessions, rest.coordinator_cpu_percent) for rest in rests],
                "all shards": [(rest.sessions, rest.crowd_cpu_percent) for rest in rests],
            },
        ),
        Chart(
            title="Redis at rest",
            x_label="sessions",
            y_label="operations a second",
            series={"operations": [(rest.sessions, rest.redis_operations_per_s) for rest in rests]},
        ),
        Chart(
            title="the reconcile loop",
            x_label="sessions",
            y_label="ms",
            series={
                "look at all sessions": [(rest.sessions, rest.look_ms.median) for rest in rests],
                "plan": [(rest.sessions, rest.plan_ms.median) for rest in rests],
                "look at the shards": [(rest.sessions, rest.look_at_shards_ms.median) for rest in rests],
            },
        ),
        Chart(
            title="from creation",
            x_label="sessions in the end",
            y_label="seconds until all that were added are",
            series={
                "placed": [(rest.sessions, rest.placed_s) for rest in rests],
                "connected": [(rest.sessions, rest.connected_s) for rest in rests],
            },
        ),
    ]


if __name__ == "__main__":
    main()
