"""What do N sessions cost Redis and the coordinator? `python -m bench.control_plane [--sessions N] [--shards M]`.

Real shards, a real coordinator and a real Redis; the sessions have no browser, are connected at once, and rest. In
Chromium's place nothing is measured, so shards look at their pages seldom: what remains is the control plane. Numbers
at a tenth of the sessions stand beside those of all of them.
"""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path

import click
import psutil
from rich.console import Console
from rich.table import Table

from bench.machine import machine
from daemon.coordinator.leader import Leadership
from daemon.coordinator.reconcile import Reconciler
from daemon.coordinator.steps import plan_steps
from daemon.core.clock import utc_now
from daemon.core.settings import Settings, load_settings
from daemon.embedded.parent import die_with_parent
from daemon.registry.registry import Registry
from daemon.sessions.record import SessionRecord
from daemon.sessions.states import SessionState
from tests.servers.child import free_ports
from tests.servers.redis import redis_server
from tests.servers.s3 import r2local_server

_WORKERS = max(1, (os.cpu_count() or 2))
_LOOKS_S = 3600.0
_SETTLE_S = 10.0
_LIMIT_S = 3600.0
_LOOK_S_EACH = 0.0005
_TELL_EVERY_S = 15.0
_ROUNDS = 5
_COMMANDS_SHOWN = 8


@dataclass(frozen=True, kw_only=True)
class Rest:
    """What so many resting sessions cost, per second unless it says otherwise."""

    sessions: int
    shards: int
    placed_s: float
    """From the creation of the sessions that were added until all had a shard."""
    connected_s: float
    """The same until all were connected."""
    redis_operations: float
    redis_cpu: float
    """Seconds of CPU a second."""
    redis_in_bytes: float
    redis_out_bytes: float
    redis_memory_bytes: int
    coordinator_cpu: float
    crowd_cpu: float
    """Of all shards together."""
    look_ms: float
    """One look at all shards and all sessions, as the reconcile loop does when something has changed."""
    plan_ms: float
    look_at_shards_ms: float
    """The look of a cycle in which nothing has changed."""
    commands: dict[str, float] = field(default_factory=dict)


@click.command()
@click.option("--sessions", default=10_000, help="How many sessions in the end.")
@click.option("--shards", "shard_count", default=50, help="How many shards.")
@click.option("--seconds", default=20.0, help="How long to measure at rest.")
@click.option("--quick", is_flag=True, help="1,000 sessions on 10 shards, measured for 5 seconds.")
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
def main(sessions: int, shard_count: int, seconds: float, quick: bool, as_json: bool) -> None:
    """Measure the control plane on this machine."""
    if quick:
        sessions, shard_count, seconds = 1000, 10, 5.0
    with tempfile.TemporaryDirectory(prefix="bench-", dir="/tmp") as folder, _servers(Path(folder), shard_count):
        facts, rests = asyncio.run(
            asyncio.wait_for(_measure(Path(folder), (sessions // 10, sessions), shard_count, seconds), _LIMIT_S)
        )
    if as_json:
        click.echo(json.dumps({"machine": facts, "rests": [asdict(rest) for rest in rests]}, indent=1))
    else:
        _show(facts, rests)


@contextlib.contextmanager
def _servers(folder: Path, shard_count: int) -> Iterator[None]:
    with redis_server("--maxclients", "20000") as redis_url, r2local_server() as store:
        os.environ.update(
            {
                **store.environment(),
                "DATA_ROOT": str(folder),
                "REDIS_URL": redis_url,
                "API_TOKEN": "a token for the bench",
                "COORDINATOR_PORT": str(free_ports(1)),
                "LOG_LEVEL": "ERROR",
                "SHARD_COUNT": str(shard_count),
                # Sessions without browsers: the host's limits do not matter.
                "SHARD_CAPACITY": "10000",
                "SHARD_PARALLEL_STARTS": "8",
                "HOST_PARALLEL_STARTS": "64",
                "SESSION_MEMORY_BYTES": "1000000",
                "SESSIONS_PER_CPU": "100000",
                "MIN_FREE_BYTES": "0",
                "SESSION_BACKUP_ENABLED": "false",
                "RECOVER_SESSIONS": "off",
            }
        )
        yield


async def _measure(
    folder: Path, steps: Sequence[int], shard_count: int, seconds: float
) -> tuple[dict[str, object], list[Rest]]:
    facts, settings = await machine(folder), load_settings()
    registry = Registry(settings)
    rests: list[Rest] = []
    with contextlib.ExitStack() as stack:
        crowd = [stack.enter_context(_child("bench.crowd", *part)) for part in _parts(shard_count)]
        coordinator = stack.enter_context(_child("daemon"))
        await _until(_alive, registry, shard_count, are="shards alive")
        made = 0
        for sessions in steps:
            began_mono_s = time.monotonic()
            await _create(registry, range(made, sessions))
            made = sessions
            placed_s = await _until(_placed, registry, made, are="sessions placed") - began_mono_s
            connected_s = await _until(_connected, registry, made, are="sessions connected") - began_mono_s
            await asyncio.sleep(_SETTLE_S)
            cost = await _cost(registry, crowd, coordinator, seconds)
            times = await _reconcile_times(registry, settings)
            rests.append(
                Rest(sessions=sessions, shards=shard_count, placed_s=placed_s, connected_s=connected_s, **cost, **times)
            )
    await registry.close()
    return facts, rests


def _parts(shard_count: int) -> list[list[str]]:
    sizes = [shard_count // _WORKERS + (number < shard_count % _WORKERS) for number in range(_WORKERS)]
    firsts = [sum(sizes[:number]) for number in range(_WORKERS)]
    return [
        ["--first", str(first), "--count", str(size), "--looks-s", str(_LOOKS_S)]
        for first, size in zip(firsts, sizes, strict=True)
        if size
    ]


@contextlib.contextmanager
def _child(module: str, *arguments: str) -> Iterator[psutil.Process]:
    child = subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        stdout=subprocess.DEVNULL,
        preexec_fn=partial(die_with_parent, signal.SIGKILL),
    )
    try:
        yield psutil.Process(child.pid)
    finally:
        child.kill()
        child.wait()


async def _create(registry: Registry, numbers: range) -> None:
    now = utc_now()
    for number in numbers:
        record = SessionRecord(
            session_id=f"session-{number}-1", workspace_id="1", user_id=str(number), created_at=now, status_at=now
        )
        await registry.records.create(record)


async def _alive(registry: Registry) -> int:
    return sum(shard.alive for shard in await registry.shards.all())


async def _placed(registry: Registry) -> int:
    return sum(summary.shard is not None for summary in await registry.records.summaries())


async def _connected(registry: Registry) -> int:
    return sum(summary.status is SessionState.CONNECTED for summary in await registry.records.summaries())


async def _until(counted: Callable[[Registry], Awaitable[int]], registry: Registry, count: int, *, are: str) -> float:
    """Return when there were so many. To look costs something as well, so the more sessions the more seldom."""
    told_mono_s = time.monotonic()
    while (found := await counted(registry)) != count:
        if time.monotonic() - told_mono_s >= _TELL_EVERY_S:
            told_mono_s = time.monotonic()
            click.echo(f"{found:,} of {count:,} {are}", err=True)
        await asyncio.sleep(max(0.5, count * _LOOK_S_EACH))
    return time.monotonic()


async def _cost(
    registry: Registry, crowd: Sequence[psutil.Process], coordinator: psutil.Process, seconds: float
) -> dict[str, object]:
    before = await _sample(registry, crowd, coordinator)
    await asyncio.sleep(seconds)
    after = await _sample(registry, crowd, coordinator)
    passed_s = after["at_s"] - before["at_s"]
    rates = {name: (after[name] - before[name]) / passed_s for name in after}
    calls = {
        name.removeprefix("calls "): rate for name, rate in rates.items() if name.startswith("calls ") and rate > 0
    }
    return {
        "redis_operations": sum(calls.values()),
        "redis_cpu": rates["redis_cpu"],
        "redis_in_bytes": rates["in"],
        "redis_out_bytes": rates["out"],
        "redis_memory_bytes": int(after["memory"]),
        "coordinator_cpu": rates["coordinator"],
        "crowd_cpu": rates["crowd"],
        "commands": dict(Counter(calls).most_common()),
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
        "redis_cpu": info["used_cpu_user"] + info["used_cpu_sys"],
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


async def _reconcile_times(registry: Registry, settings: Settings) -> dict[str, float]:
    """Return the medians of the parts of a cycle, taken beside the coordinator that really does it."""
    reconciler = Reconciler(registry, Leadership(registry, "bench"), settings)
    parts: dict[str, list[float]] = {"look_at_shards_ms": [], "look_ms": [], "plan_ms": []}
    for _ in range(_ROUNDS):
        began_mono_s = time.monotonic()
        stands = await reconciler._look_at_shards()
        looked_mono_s = time.monotonic()
        view = await reconciler._look(stands)
        seen_mono_s = time.monotonic()
        plan_steps(view)
        parts["look_at_shards_ms"].append((looked_mono_s - began_mono_s) * 1000)
        parts["look_ms"].append((seen_mono_s - looked_mono_s) * 1000)
        parts["plan_ms"].append((time.monotonic() - seen_mono_s) * 1000)
    return {name: sorted(times)[len(times) // 2] for name, times in parts.items()}


def _show(facts: dict[str, object], rests: Sequence[Rest]) -> None:
    console = Console()
    console.width = max(console.width, 100)
    console.print(", ".join(f"{name.replace('_', ' ')} {value}" for name, value in facts.items()))
    few, many = rests[0], rests[-1]
    table = Table(title=f"{many.shards} shards, sessions at rest, without browsers")
    table.add_column("")
    for rest in rests:
        table.add_column(f"{rest.sessions:,} sessions", justify="right")
    table.add_column("grows by", justify="right")
    for name, of in _LINES:
        values = [of(rest) for rest in rests]
        table.add_row(
            name, *(f"{value:,.2f}" for value in values), f"{values[-1] / values[0]:.1f}x" if values[0] else ""
        )
    for command in list(many.commands)[:_COMMANDS_SHOWN]:
        values = [rest.commands.get(command, 0.0) for rest in (few, many)]
        table.add_row(f"Redis {command} a second", *(f"{value:,.1f}" for value in values))
    console.print(table)


_LINES = (
    ("all added placed, s", lambda rest: rest.placed_s),
    ("all added connected, s", lambda rest: rest.connected_s),
    ("Redis operations a second", lambda rest: rest.redis_operations),
    ("Redis operations a second and session", lambda rest: rest.redis_operations / rest.sessions),
    ("Redis CPU, % of a core", lambda rest: rest.redis_cpu * 100),
    ("to Redis, kB a second", lambda rest: rest.redis_in_bytes / 1000),
    ("from Redis, kB a second", lambda rest: rest.redis_out_bytes / 1000),
    ("Redis memory, MB", lambda rest: rest.redis_memory_bytes / 1e6),
    ("coordinator CPU, % of a core", lambda rest: rest.coordinator_cpu * 100),
    ("reconcile: look at the shards, ms", lambda rest: rest.look_at_shards_ms),
    ("reconcile: look at all sessions, ms", lambda rest: rest.look_ms),
    ("reconcile: plan, ms", lambda rest: rest.plan_ms),
    ("shards' CPU, ms a second and session", lambda rest: rest.crowd_cpu * 1000 / rest.sessions),
)


if __name__ == "__main__":
    main()
