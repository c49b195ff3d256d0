"""How fast are all sessions back? `python -m bench.restore --sessions 100 --tier r2`.

A whole installation under a real supervisord, with real Chromium on the stand-in and a real S3 server. Sessions are
linked once; then, again and again, all shards are ended, every profile is wiped from the disk, and the time runs from
supervisord's order to start the shards until the last session is connected.
"""

import asyncio
import contextlib
import os
import shlex
import shutil
import statistics
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import psutil
import redis.asyncio as redis

from bench.fleet import Fleet
from bench.form import Run, bench
from bench.machine import file_system
from bench.processes import CHROMIUM, GUARD, SHARD, kinds_of, usage_of
from bench.report import Chart, Report, Spread, Table, Target, percentile
from bench.restored import LogTail, Restored, back_in
from bench.simulated_restore import restore_simulated
from daemon.registry.keys import hot_copy
from tests.integration.supervision.house import House
from tests.servers.s3 import S3Server, r2local_server
from tests.standin import StandIn

SYNC_MS = 1500
"""The stand-in's own time between log-in and usable page, which needs no processor; part of every number."""
TIERS = ("r2", "redis", "mixed")
_TMPFS = Path("/dev/shm")
_HOST = "web.whatsapp.com"
_LIMIT_S = 300.0
_LOOK_S = 0.2
_REST_S = 20.0
_FAILURES_SHOWN = 10
_FREE_BYTES = 4 * 10**9
GROWTH = {"chromium": (20, 50, 100, 150), "simulated": (300, 1000, 3000)}


class Installation(Fleet):
    """An installation whose sessions lose their profiles and come back."""

    profile_root: Path
    _wiped = 0

    async def grow(self, count: int) -> None:
        """Link so many further sessions; the stand-in's time to sync is not waited for."""
        self.standin.options.change({"sync_ms": 0})
        await self.link(count)

    async def restore(self, tier: str) -> Restored:
        """End the shards, wipe every profile, start the shards, and wait for all sessions."""
        await asyncio.to_thread(self.house.control, "stop", "shard:*")
        await self._wipe(tier)
        self.standin.options.change({"sync_ms": SYNC_MS})
        logs = [LogTail(self.house.home.log_dir / f"{name}.log") for name in self.shards]
        before = self._cpu_s()
        began = datetime.now(UTC)
        await asyncio.to_thread(self.house.start_group, "shard")
        lines = await self._back(logs)
        cpu_s = self._cpu_s()
        cpu_s.subtract(before)
        await asyncio.sleep(_REST_S)
        pss_bytes = usage_of(kinds_of(self.house)).pss_bytes
        states = Counter(shown["status"] for shown in (await self.shown()).values())
        del states["connected"]
        return Restored.of(
            lines,
            began,
            len(self.sessions),
            cpu_s=dict(cpu_s),
            pss_mb={kind: size / 1e6 for kind, size in _by_part(pss_bytes).items()},
            elsewhere=dict(states),
            files_mb=await asyncio.to_thread(_held_mb, self.profile_root),
        )

    def _cpu_s(self) -> Counter[str]:
        used = _by_part(usage_of(kinds_of(self.house)).cpu_s)
        used["stand-in and S3 server"] = sum(os.times()[:2]) + _store_s(self.house)
        return used

    async def _wipe(self, tier: str) -> None:
        # Moved and not removed, which is the same to the daemon: for minutes after very many files were removed, ext4
        # without a journal takes long to make new ones, and a fresh machine has removed none.
        for sessions in self.profile_root.glob("*/sessions"):
            self._wiped += 1
            aside = sessions.rename(self.profile_root / f"wiped-{self._wiped}")
            if self.profile_root.is_relative_to(_TMPFS):
                await asyncio.to_thread(shutil.rmtree, aside)
        without = {"r2": self.sessions, "redis": [], "mixed": self.sessions[::2]}[tier]
        if without:
            async with redis.Redis(unix_socket_path=str(self.house.home.root / "var/run/redis.sock")) as client:
                await client.delete(*(hot_copy(session_id) for session_id in without))

    async def _back(self, logs: Sequence[LogTail]) -> list[dict[str, Any]]:
        lines: list[dict[str, Any]] = []
        waiting = set(self.sessions)
        deadline = asyncio.get_running_loop().time() + _LIMIT_S
        while waiting and asyncio.get_running_loop().time() < deadline:
            await asyncio.sleep(_LOOK_S)
            new = [line for log in logs for line in log.new()]
            waiting -= back_in(new)
            lines += new
        return lines


def _by_part(used: Mapping[str, float]) -> Counter[str]:
    parts: Counter[str] = Counter(browsers=0, shards=0)
    for kind, much in used.items():
        if kind.startswith(CHROMIUM):
            parts["browsers"] += much
        else:
            parts["shards" if kind in {SHARD, GUARD} else kind] += much
    return parts


def _held_mb(root: Path) -> float:
    """Return what the files of all sessions' profiles take."""
    files = (file for sessions in root.glob("*/sessions") for file in sessions.rglob("*"))
    held = 0
    for file in files:
        with contextlib.suppress(FileNotFoundError):  # Chromium works there
            held += file.lstat().st_blocks * 512
    return held / 1e6


def _store_s(house: House) -> float:
    """Return the processor time of what this process started beside the installation."""
    ours = {process.pid for process in house.processes()}
    others = [process for process in psutil.Process().children(recursive=True) if process.pid not in ours]
    return sum(sum(process.cpu_times()[:2]) for process in others)


def mapping_flags(standin: StandIn) -> tuple[str, str]:
    """Return the flags with which a Chromium finds the stand-in (which speaks TLS) as web.whatsapp.com."""
    return (
        f"--host-resolver-rules=MAP {_HOST}:443 127.0.0.1:{standin.port}",
        f"--ignore-certificate-errors-spki-list={standin.spki}",
    )


@contextlib.asynccontextmanager
async def installation(
    standin: StandIn, store: S3Server, *, shards: int, profiles: Path | None = None, **more_settings: str
) -> AsyncIterator[Installation]:
    """Run a whole installation on this stand-in (which speaks TLS) and this S3 server, with no session yet.

    `profiles` is a directory for them; without one they lie below the installation.
    """
    if profiles is not None:
        more_settings |= {"PROFILE_ROOT": str(profiles)}
    settings = {
        **store.environment(),
        "WHATSAPP_WEB_URL": f"https://{_HOST}/",
        "CHROMIUM_EXTRA_ARGS": shlex.join(mapping_flags(standin)),
        "LOG_FORMAT": "json",
        **more_settings,
    }
    async with Installation.installed_on(standin, shards=shards, **settings) as made:
        made.profile_root = profiles or made.house.home.var / "profiles"
        yield made


def on_disk_or_tmpfs(command: Any) -> Any:
    """Give a bench the option --tmpfs."""
    return click.option("--tmpfs/--disk", default=True, help="Where profiles lie.  [default: tmpfs]")(command)


@contextlib.contextmanager
def profiles_in(run: Run, *, tmpfs: bool) -> Iterator[Path]:
    """Give a directory for profiles, in memory or where the run writes."""
    if not tmpfs:
        yield run.work / "profiles"
        return
    if not _TMPFS.is_dir() or shutil.disk_usage(_TMPFS).free < _FREE_BYTES:
        raise click.ClickException(f"{_TMPFS} has less than {_FREE_BYTES // 10**9} GB free: use --disk")
    with tempfile.TemporaryDirectory(prefix="bench-", dir=_TMPFS) as folder:
        yield Path(folder)


@bench(title="How fast are all sessions back from wiped profiles?", limit_s=5400)
@click.option("--sessions", default=100, show_default=True, type=click.IntRange(1, 10_000))
@click.option("--tier", default="r2", show_default=True, type=click.Choice(TIERS), help="Where their copies are.")
@click.option("--shards", default=2, show_default=True, type=click.IntRange(1, 16))
@click.option("--engine", default="chromium", show_default=True, type=click.Choice(["chromium", "simulated"]))
@on_disk_or_tmpfs
@click.option(
    "--repeats",
    default=3,
    show_default=True,
    type=click.IntRange(1, 20),
    help="After one that warms up (not with simulated).",
)
@click.option("--growth", is_flag=True, help="Also with 20, 50, 100, 150 (simulated: 300, 1000, 3000), once each.")
async def main(
    run: Run, *, sessions: int, tier: str, shards: int, engine: str, tmpfs: bool, repeats: int, growth: bool
) -> Report:
    """From wiped profiles to all connected, by the real daemon; simulated is all of it but the browsers."""
    if run.quick:
        sessions, repeats, growth = min(sessions, 2), 1, False
    others = dict.fromkeys(GROWTH[engine], 1) if growth else {}
    sizes = dict(sorted((others | {sessions: repeats}).items()))
    simulated = engine == "simulated"
    with profiles_in(run, tmpfs=tmpfs) as profiles:
        measure = restore_simulated if simulated else _restore_real
        found = await measure(run, sizes, tier=tier, shards=shards, profiles=profiles)
        on = file_system(profiles)
    return _report(found, sessions, tier, simulated=simulated, profiles_on=on)


async def _restore_real(
    run: Run, sizes: Mapping[int, int], *, tier: str, shards: int, profiles: Path
) -> dict[int, list[Restored]]:
    found: dict[int, list[Restored]] = {}
    with r2local_server() as store:
        async with (
            StandIn(tls=True, ref_ttl_ms=60_000) as standin,
            installation(standin, store, shards=shards, profiles=profiles) as made,
        ):
            for size, times in sizes.items():
                found[size] = await _measure(run, made, size, tier, times, warm_up=not found and not run.quick)
    return found


async def _measure(
    run: Run, made: Installation, size: int, tier: str, repeats: int, *, warm_up: bool
) -> list[Restored]:
    with run.progress(f"link {size} sessions", 1):
        await made.grow(size - len(made.sessions))
    rounds = []
    with run.progress(f"restore {size} sessions", repeats + warm_up) as advance:
        if warm_up:
            await made.restore(tier)
            advance()
        for _ in range(repeats):
            rounds.append(await made.restore(tier))
            advance()
            run.say(f"{rounds[-1].connected} of {size} connected in {rounds[-1].wall_s:.1f} s")
    return rounds


def _report(found: dict[int, list[Restored]], sessions: int, tier: str, *, simulated: bool, profiles_on: str) -> Report:
    rounds = found[sessions]
    middle = sorted(rounds, key=lambda one: one.wall_s)[len(rounds) // 2]
    wall = Spread.of(one.wall_s for one in rounds)
    cpu, pss = Spread.of(one.cpu_s_each for one in rounds), Spread.of(one.pss_mb_each for one in rounds)
    median = Spread.of(one.median_s for one in rounds)
    connected = min(one.connected for one in rounds)
    everything = [one for of in found.values() for one in of]
    return Report(
        headlines=[
            f"{connected} of {sessions} sessions connected again from {tier} in {wall.text()} s, "
            f"{sessions / wall.median:.1f} a second; half of them after {median.text()} s",
            f"{cpu.text('.2f')} CPU seconds a session until it is connected, {pss.text()} MB at rest",
            f"profiles on {profiles_on}"
            + ("" if simulated else f", where each takes {middle.files_mb / sessions:.1f} MB beside that"),
        ],
        tables=[
            _sizes(found, simulated=simulated),
            _phases(middle),
            _usage(middle, simulated=simulated),
            *_failures(everything),
        ],
        failure=_failure(everything, tier),
        charts=_charts(found, middle),
        targets=_targets(found, sessions, tier, simulated=simulated),
        data={
            "sessions": sessions,
            "tier": tier,
            "connected": connected,
            "failures": [failure for one in everything for failure in one.failures],
            "profiles_on": profiles_on,
            "profile_mb_per_session": middle.files_mb / sessions,
            "wall_s": wall.median,
            "sessions_per_s": sessions / wall.median,
            "median_usable_s": median.median,
            "p95_usable_s": Spread.of(percentile(one.usable_s, 0.95) for one in rounds).median,
            "cpu_s_per_session": cpu.median,
            "pss_mb_per_session": pss.median,
            "phases": {
                name: {"p50_ms": percentile(times, 0.5), "p95_ms": percentile(times, 0.95)}
                for name, times in middle.phases_ms.items()
                if times
            },
            "rounds": {size: [asdict(one) | {"wall_s": one.wall_s} for one in of] for size, of in found.items()},
        },
    )


def _targets(found: dict[int, list[Restored]], sessions: int, tier: str, *, simulated: bool) -> list[Target]:
    if simulated:
        return [_linear(found)] if {300, 3000} <= found.keys() else []
    if (sessions, tier) != (100, "r2"):
        return []
    rounds = found[sessions]
    wall, median = Spread.of(one.wall_s for one in rounds), Spread.of(one.median_s for one in rounds)
    cpu, pss = Spread.of(one.cpu_s_each for one in rounds), Spread.of(one.pss_mb_each for one in rounds)
    lost = sum(one.lost for one in rounds)
    errors = sum(len(one.failures) for one in rounds)
    return [
        Target(
            what="100 sessions from R2, all connected",
            wanted="<= 25 s",
            found=f"{wall.text()} s",
            met=wall.median <= 25 and not lost,
        ),
        Target(what="sessions that did not come back", wanted="0", found=str(lost), met=lost == 0),
        Target(what="errors in the shards' logs", wanted="0", found=str(errors), met=errors == 0),
        Target(
            what="half of the sessions usable", wanted="<= 12 s", found=f"{median.text()} s", met=median.median <= 12
        ),
        Target(
            what="CPU of browser and shard a session",
            wanted="<= 0.45 s",
            found=f"{cpu.text('.2f')} s",
            met=cpu.median <= 0.45,
        ),
        Target(what="memory of a session at rest", wanted="<= 50 MB", found=f"{pss.text()} MB", met=pss.median <= 50),
    ]


def _linear(found: dict[int, list[Restored]]) -> Target:
    each = {size: statistics.median(one.wall_s for one in found[size]) / size for size in (300, 3000)}
    more = each[3000] / each[300] - 1
    return Target(
        what="time a session takes, of 3,000 beside of 300",
        wanted="within 15 %",
        found=f"{more:+.0%}",
        met=more <= 0.15,
    )


def _failure(rounds: Sequence[Restored], tier: str) -> str:
    """Return why the numbers are worth nothing, or nothing."""
    lost = sum(one.lost for one in rounds)
    if lost:
        elsewhere = sum((Counter(one.elsewhere) for one in rounds), Counter[str]())
        return f"{lost} sessions did not come back, or did not stay connected: {dict(elsewhere) or 'never connected'}"
    for one in rounds:
        wanted = sources_of(one.sessions, tier)
        if one.sources != wanted:
            return f"sessions came from {one.sources} and not from {wanted}"
    return ""


def sources_of(sessions: int, tier: str) -> dict[str, int]:
    """Return how many sessions have to come from where."""
    from_r2 = {"r2": sessions, "redis": 0, "mixed": (sessions + 1) // 2}[tier]
    return {place: count for place, count in (("r2", from_r2), ("redis", sessions - from_r2)) if count}


def _failures(rounds: Sequence[Restored]) -> list[Table]:
    said = Counter(failure for one in rounds for failure in one.failures)
    rows = [(what, str(times)) for what, times in said.most_common(_FAILURES_SHOWN)]
    return [Table(title="errors in the shards' logs", columns=("", "times"), rows=rows)] if rows else []


def _sizes(found: dict[int, list[Restored]], *, simulated: bool) -> Table:
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
                Spread.of(one.median_s for one in rounds).text(),
                Spread.of(percentile(one.usable_s, 0.95) for one in rounds).text(),
                Spread.of(one.cpu_s_each for one in rounds).text(".2f"),
                Spread.of(one.pss_mb_each for one in rounds).text(),
            )
        )
    columns = (
        "sessions", "connected", "wall s", "a second", "first s", "median s", "95 % s", "CPU s each", "MB each",
    )  # fmt: skip
    sync = "pages are connected at once" if simulated else f"the stand-in's {SYNC_MS / 1000} s of sync is in every time"
    caption = f"since the order to start the shards; {sync}"
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


def _usage(one: Restored, *, simulated: bool) -> Table:
    rows = [
        (kind, f"{used_s:.1f}", f"{used_s / one.sessions * 1000:.0f}", f"{one.pss_mb.get(kind, 0):.0f}")
        for kind, used_s in one.cpu_s.items()
    ]
    columns = ("processes", "CPU s", "ms a session", "PSS MB")
    caption = "CPU until the last session was connected; "
    caption += "shards alone, without guards" if simulated else "shards with their guards"
    return Table(title="what it took, by kind of process", columns=columns, rows=rows, caption=caption)


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
