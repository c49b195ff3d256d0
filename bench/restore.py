"""How fast are all sessions back? `python -m bench.restore --sessions 100 --tier r2`.

A whole installation under a real supervisord, with real Chromium on the stand-in and a real S3 server. Sessions are
linked once; then, again and again, all shards are ended, every profile is wiped from the disk, and the time runs from
supervisord's order to start the shards until the last session is connected.
"""

import asyncio
import contextlib
import json
import shlex
import shutil
import statistics
from collections.abc import AsyncIterator, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import redis.asyncio as redis

from bench.fleet import Fleet
from bench.form import Run, bench
from bench.report import Chart, Report, Spread, Table, Target, percentile
from bench.usage import Usage, memory_of, usage_of
from daemon.registry.keys import hot_copy
from tests.servers.s3 import S3Server, r2local_server
from tests.standin import StandIn

SYNC_MS = 1500
"""The stand-in's own time between log-in and usable page, which needs no processor; part of every number."""
PHASES = ("fetch", "verify", "unpack", "launch", "inject", "load", "login", "sync")
TIERS = ("r2", "redis", "mixed")
_HOST = "web.whatsapp.com"
_LIMIT_S = 300.0
_LOOK_S = 0.2
_REST_S = 5.0
_GROWTH = (20, 50, 100, 150)
_LINK_PARALLEL = 6


@dataclass(frozen=True, kw_only=True)
class Restored:
    """One restore of all sessions; times in seconds since supervisord was told to start the shards."""

    sessions: int
    usable_s: list[float] = field(repr=False)
    """When each session was connected, in order."""
    phases_ms: dict[str, list[int]] = field(repr=False)
    """Of each session, by the product's own log."""
    sources: dict[str, int]
    """How many came from where."""
    usage: Usage
    """Processor time until the last was connected."""
    pss_mb: dict[str, float]
    """Memory at rest, by kind of process."""
    failures: list[str]
    """What the logs say went wrong."""

    @property
    def connected(self) -> int:
        """How many were connected again."""
        return len(self.usable_s)

    @property
    def wall_s(self) -> float:
        """When the last one was connected."""
        return max(self.usable_s, default=float("nan"))

    @property
    def cpu_s_each(self) -> float:
        """Processor time of browsers and shards for each session."""
        return (self.usage.browsers_s + self.usage.shards_s) / self.sessions

    @property
    def pss_mb_each(self) -> float:
        """Memory of a session's browser, and its share of its shard."""
        return (self.pss_mb["browsers"] + self.pss_mb["shards"]) / self.sessions


class Installation(Fleet):
    """An installation whose sessions lose their profiles and come back."""

    async def grow(self, count: int) -> None:
        """Link so many further sessions; the stand-in's time to sync is not waited for."""
        self.standin.options.change({"sync_ms": 0})
        await self.link(count)

    async def restore(self, tier: str) -> Restored:
        """End the shards, wipe every profile, start the shards, and wait for all sessions."""
        await asyncio.to_thread(self.house.control, "stop", "shard:*")
        await self._wipe(tier)
        self.standin.options.change({"sync_ms": SYNC_MS})
        logs = [_Log(self.house.home.log_dir / f"{name}.log") for name in self.shards]
        before = usage_of(self.house)
        began = datetime.now(UTC)
        await asyncio.to_thread(self.house.start_group, "shard")
        lines = await self._back(logs)
        usage = usage_of(self.house).since(before)
        await asyncio.sleep(_REST_S)
        return self._summary(lines, began, usage)

    async def _wipe(self, tier: str) -> None:
        for sessions in self.house.home.root.glob("var/profiles/*/sessions"):
            await asyncio.to_thread(shutil.rmtree, sessions)
        without = {"r2": self.sessions, "redis": [], "mixed": self.sessions[::2]}[tier]
        if without:
            async with redis.Redis(unix_socket_path=str(self.house.home.root / "var/run/redis.sock")) as client:
                await client.delete(*(hot_copy(session_id) for session_id in without))

    async def _back(self, logs: "Sequence[_Log]") -> list[dict[str, Any]]:
        lines: list[dict[str, Any]] = []
        waiting = set(self.sessions)
        deadline = asyncio.get_running_loop().time() + _LIMIT_S
        while waiting and asyncio.get_running_loop().time() < deadline:
            await asyncio.sleep(_LOOK_S)
            for log in logs:
                for line in log.new():
                    lines.append(line)
                    if line.get("event") == "session restored":
                        waiting.discard(line["session_id"])
        return lines

    def _summary(self, lines: list[dict[str, Any]], began: datetime, usage: Usage) -> Restored:
        back = [line for line in lines if line.get("event") == "session restored"]
        times = [(datetime.fromisoformat(line["timestamp"]) - began).total_seconds() for line in back]
        sources = [line["source"] for line in back]
        return Restored(
            sessions=len(self.sessions),
            usable_s=sorted(times),
            phases_ms={name: [line["phases_ms"].get(name, 0) for line in back] for name in PHASES},
            sources={source: sources.count(source) for source in sorted(set(sources))},
            usage=usage,
            pss_mb=memory_of(self.house),
            failures=[_said(line) for line in lines if line.get("level") in {"warning", "error", "critical"}],
        )


class _Log:
    """The lines that come into a program's log from now on."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read_bytes = path.stat().st_size if path.exists() else 0

    def new(self) -> list[dict[str, Any]]:
        """Return the complete lines that came since the last call."""
        if not self._path.exists():
            return []
        with self._path.open("rb") as file:
            file.seek(self._read_bytes)
            content = file.read()
        whole = content[: content.rfind(b"\n") + 1]
        self._read_bytes += len(whole)
        return [json.loads(line) for line in whole.splitlines() if line.startswith(b"{")]


def _said(line: dict[str, Any]) -> str:
    return f"{line.get('session_id', line.get('process'))}: {line.get('event')} ({line.get('code', line['level'])})"


@contextlib.asynccontextmanager
async def installation(standin: StandIn, store: S3Server, *, shards: int) -> AsyncIterator[Installation]:
    """Run a whole installation on this stand-in (which speaks TLS) and this S3 server, with no session yet."""
    arguments = (
        f"--host-resolver-rules=MAP {_HOST}:443 127.0.0.1:{standin.port}",
        f"--ignore-certificate-errors-spki-list={standin.spki}",
    )
    settings = {
        **store.environment(),
        "WHATSAPP_WEB_URL": f"https://{_HOST}/",
        "CHROMIUM_EXTRA_ARGS": shlex.join(arguments),
        "LOG_FORMAT": "json",
    }
    async with Installation.installed_on(standin, shards=shards, **settings) as made:
        yield made


@bench(title="How fast are all sessions back from wiped profiles?", limit_s=5400)
@click.option("--sessions", default=100, show_default=True, type=click.IntRange(1, 300))
@click.option("--tier", default="r2", show_default=True, type=click.Choice(TIERS), help="Where their copies are.")
@click.option("--shards", default=2, show_default=True, type=click.IntRange(1, 16))
@click.option("--repeats", default=3, show_default=True, type=click.IntRange(1, 20), help="After one that warms up.")
@click.option("--growth", is_flag=True, help=f"Measure also with {', '.join(map(str, _GROWTH))} sessions.")
async def main(run: Run, *, sessions: int, tier: str, shards: int, repeats: int, growth: bool) -> Report:
    """From wiped profiles to all connected, by the real daemon."""
    if run.quick:
        sessions, repeats, growth = min(sessions, 3), 1, False
    sizes = sorted({*_GROWTH, sessions}) if growth else [sessions]
    found: dict[int, list[Restored]] = {}
    with r2local_server() as store:
        async with StandIn(tls=True, ref_ttl_ms=60_000) as standin, installation(standin, store, shards=shards) as made:
            for size in sizes:
                found[size] = await _measure(run, made, size, tier, repeats)
    return _report(found, sessions, tier)


async def _measure(run: Run, made: Installation, size: int, tier: str, repeats: int) -> list[Restored]:
    with run.progress(f"link {size} sessions", 1):
        await made.grow(size - len(made.sessions))
    rounds = []
    with run.progress(f"restore {size} sessions", repeats + 1) as advance:
        if not run.quick:
            await made.restore(tier)
        advance()
        for _ in range(repeats):
            rounds.append(await made.restore(tier))
            advance()
            run.say(f"{rounds[-1].connected} of {size} connected in {rounds[-1].wall_s:.1f} s")
    return rounds


def _report(found: dict[int, list[Restored]], sessions: int, tier: str) -> Report:
    rounds = found[sessions]
    middle = sorted(rounds, key=lambda one: one.wall_s)[len(rounds) // 2]
    wall = Spread.of(one.wall_s for one in rounds)
    cpu, pss = Spread.of(one.cpu_s_each for one in rounds), Spread.of(one.pss_mb_each for one in rounds)
    median = Spread.of(statistics.median(one.usable_s) for one in rounds)
    failed = sum(one.sessions - one.connected for one in rounds)
    return Report(
        headlines=[
            f"{middle.connected} of {sessions} sessions connected again from {tier} in {wall.text()} s, "
            f"{sessions / wall.median:.1f} a second; half of them after {median.text()} s",
            f"{cpu.text('.2f')} CPU seconds a session until it is connected, {pss.text()} MB at rest",
        ],
        tables=[_sizes(found), _phases(middle), _usage(middle)],
        charts=_charts(found, middle),
        targets=[
            Target(what="100 sessions from R2, all connected", wanted="<= 25 s", found=f"{wall.text()} s",
                   met=wall.median <= 25 and not failed),
            Target(what="sessions that did not come back", wanted="0", found=str(failed), met=failed == 0),
            Target(what="half of the sessions usable", wanted="<= 12 s", found=f"{median.text()} s",
                   met=median.median <= 12),
            Target(what="CPU of browser and shard a session", wanted="<= 0.45 s", found=f"{cpu.text('.2f')} s",
                   met=cpu.median <= 0.45),
            Target(what="memory of a session at rest", wanted="<= 50 MB", found=f"{pss.text()} MB",
                   met=pss.median <= 50),
        ] if sessions == 100 and tier == "r2" else [],
        data={
            "sessions": sessions,
            "tier": tier,
            "connected": middle.connected,
            "wall_s": wall.median,
            "median_usable_s": median.median,
            "cpu_s_per_session": cpu.median,
            "pss_mb_per_session": pss.median,
            "phases": {
                name: {"p50_ms": percentile(times, 0.5), "p95_ms": percentile(times, 0.95)}
                for name, times in middle.phases_ms.items()
                if times
            },
            "rounds": {size: [asdict(one) | {"wall_s": one.wall_s} for one in of] for size, of in found.items()},
        },
    )  # fmt: skip


def _sizes(found: dict[int, list[Restored]]) -> Table:
    rows = []
    for size, rounds in found.items():
        wall = Spread.of(one.wall_s for one in rounds)
        rows.append(
            (
                str(size),
                f"{min(one.connected for one in rounds)}",
                wall.text(),
                f"{size / wall.median:.1f}",
                Spread.of(one.usable_s[0] for one in rounds).text(),
                Spread.of(statistics.median(one.usable_s) for one in rounds).text(),
                Spread.of(percentile(one.usable_s, 0.95) for one in rounds).text(),
                Spread.of(one.cpu_s_each for one in rounds).text(".2f"),
                Spread.of(one.pss_mb_each for one in rounds).text(),
            )
        )
    columns = (
        "sessions", "connected", "wall s", "a second", "first s", "median s", "95 % s", "CPU s each", "MB each",
    )  # fmt: skip
    caption = f"since the order to start the shards; the stand-in's {SYNC_MS / 1000} s of sync is in every time"
    return Table(title="all sessions back", columns=columns, rows=rows, caption=caption)


def _phases(one: Restored) -> Table:
    rows = [
        (name, f"{percentile(times, 0.5)}", f"{percentile(times, 0.95)}", f"{max(times)}")
        for name, times in one.phases_ms.items()
    ]
    own = [sum(times) for times in zip(*one.phases_ms.values(), strict=True)]
    rows.append(("sum", f"{percentile(own, 0.5)}", f"{percentile(own, 0.95)}", f"{max(own)}"))
    title = f"a session's own steps, ms ({one.sessions} sessions)"
    return Table(title=title, columns=("step", "median", "95 %", "longest"), rows=rows)


def _usage(one: Restored) -> Table:
    rows = [
        (name, f"{seconds:.1f}", f"{seconds / one.sessions * 1000:.0f}", f"{one.pss_mb.get(name, 0):.0f}")
        for name, seconds in one.usage.by_kind().items()
    ]
    columns = ("processes", "CPU s", "ms a session", "PSS MB")
    return Table(title="what it took, by kind of process", columns=columns, rows=rows)


def _charts(found: dict[int, list[Restored]], middle: Restored) -> list[Chart]:
    arrivals: list[tuple[float | str, float]] = [(s, n) for n, s in enumerate(middle.usable_s, 1)]
    medians: list[tuple[float | str, float]] = [
        (name, percentile(times, 0.5)) for name, times in middle.phases_ms.items()
    ]
    charts = [
        Chart(title="sessions connected", x_label="seconds", y_label="sessions", series={"connected": arrivals}),
        Chart(title="median of each step", x_label="", y_label="ms", kind="bars", series={"ms": medians}),
    ]
    if len(found) > 1:
        grown: list[tuple[float | str, float]] = [
            (size, statistics.median(one.wall_s for one in rounds)) for size, rounds in found.items()
        ]
        charts.append(Chart(title="growth", x_label="sessions", y_label="seconds", series={"all connected": grown}))
    return charts


if __name__ == "__main__":
    main()
