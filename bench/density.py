"""What does a connected session cost while nothing happens in it? `python -m bench.density`.

A whole installation under a real supervisord, one shard, real Chromiums on the stand-in. Once all sessions are
connected and have been left alone for a moment, processor time and memory of every process are read again and again.
So for several sets of Chromium flags, each in an installation of its own.
"""

import asyncio
import itertools
import shlex
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import click

from bench.fleet import Fleet
from bench.form import Run, bench
from bench.processes import CHROMIUM, COORDINATOR, GUARD, SHARD, Usage, kinds_of, usage_of
from bench.report import Chart, Report, Table, Target
from tests.integration.browser.rig import CHROMIUM as FULL_CHROMIUM
from tests.integration.browser.rig import HEADLESS_SHELL

_SETTLE_S = 60.0
_SAMPLES = 12
_MB_WANTED = 50
_CORE_PERCENT_WANTED = 3
_PRODUCT, _PLAIN, _FULL, _EXTRA = "the product's", "plain headless-shell", "full Chromium", "the product's and more"
_SETS = {"product": _PRODUCT, "plain": _PLAIN, "full": _FULL}
_NEEDED = ("--user-data-dir", "--remote-debugging-", "--password-store", "--no-sandbox", "--user-agent", "about:blank")


@dataclass(frozen=True, kw_only=True)
class Moment:
    """What was used until some moment."""

    at_s: float
    usage: Usage


@dataclass(frozen=True, kw_only=True)
class Density:
    """One set of flags with so many sessions."""

    flags: str
    sessions: int
    moments: list[Moment]
    connected: int
    """How many were still connected at the end."""

    @property
    def minutes(self) -> float:
        return (self.moments[-1].at_s - self.moments[0].at_s) / 60

    def cpu_percent(self, *kinds: str) -> float:
        """Return how much of one core processes of these kinds used on average."""
        return _percent(self.moments[0], self.moments[-1], kinds)

    @property
    def chromium_percent(self) -> float:
        """The same of all Chromiums."""
        return self.cpu_percent(*self.chromium_kinds)

    @property
    def chromium_kinds(self) -> list[str]:
        return [kind for kind in self.moments[-1].usage.pss_bytes if kind.startswith(CHROMIUM)]

    @property
    def session_mb(self) -> float:
        """Memory of one session's Chromium at the end."""
        return self.moments[-1].usage.chromium_bytes / self.sessions / 1e6

    def mb(self, kind: str) -> float:
        return self.moments[-1].usage.pss_bytes.get(kind, 0) / 1e6


def _percent(first: Moment, last: Moment, kinds: tuple[str, ...] | list[str]) -> float:
    used_s = sum(last.usage.cpu_s.get(kind, 0) - first.usage.cpu_s.get(kind, 0) for kind in kinds)
    return used_s / (last.at_s - first.at_s) * 100


@bench(title="What does a connected session cost while nothing happens in it?", limit_s=4 * 3600)
@click.option("--minutes", default=10.0, show_default=True, type=click.FloatRange(0.05, 600), help="For each set.")
@click.option("--sessions", default=50, show_default=True, type=click.IntRange(1, 500), help="With our own flags.")
@click.option("--others", default=10, show_default=True, type=click.IntRange(1, 500), help="With other flags.")
@click.option("--flags", "names", multiple=True, type=click.Choice(list(_SETS)), help="Only these; else all.")
@click.option("--extra-args", default="", help="One set more: the product's and these, as CHROMIUM_EXTRA_ARGS.")
async def main(
    run: Run, *, minutes: float, sessions: int, others: int, names: tuple[str, ...], extra_args: str
) -> Report:
    """Memory is PSS: what several processes share is divided among them. A core is one of the machine's."""
    if run.quick:
        minutes, sessions, others = 0.05, 2, 1
    sets = [_SETS[name] for name in names or _SETS] + ([_EXTRA] if extra_args else [])
    found = []
    with run.progress("measuring", len(sets)) as advance:
        for flags in sets:
            count = sessions if flags in {_PRODUCT, _EXTRA} else others
            settle_s = 1.0 if run.quick else _SETTLE_S
            settings = _settings(flags, run.work, extra_args)
            found.append(await _measure(flags, count, settings, settle_s=settle_s, last_s=minutes * 60))
            advance()
    return _report(found, extra_args)


def _settings(flags: str, work: Path, extra_args: str) -> dict[str, str]:
    match flags:
        case "plain headless-shell":
            return {"CHROMIUM_PATH": str(_filter(work))}
        case "full Chromium":
            return {"CHROMIUM_PATH": str(FULL_CHROMIUM)}
        case "the product's and more":
            return {"CHROMIUM_EXTRA_ARGS": extra_args}
    return {}


def _filter(work: Path) -> Path:
    """Write a command that starts headless-shell with nothing of what it is given but what it cannot do without."""
    command = work / "headless-shell"
    kept = "|".join(f"{name}*" for name in _NEEDED)
    command.write_text(
        "#!/bin/sh\n"
        "for word do\n"
        "  shift\n"
        f'  case $word in {kept}|--version) set -- "$@" "$word";; esac\n'
        "done\n"
        f'exec {shlex.quote(str(HEADLESS_SHELL))} "$@"\n'
    )
    command.chmod(0o700)
    return command


async def _measure(
    flags: str, sessions: int, settings: Mapping[str, str], *, settle_s: float, last_s: float
) -> Density:
    async with Fleet.installed(shards=1, **settings) as fleet:
        await fleet.link(sessions)
        await asyncio.sleep(settle_s)
        kinds = await asyncio.to_thread(kinds_of, fleet.house)
        moments, began = [], time.monotonic()
        for number in range(_SAMPLES + 1):
            await asyncio.sleep(max(0.0, began + last_s * number / _SAMPLES - time.monotonic()))
            at_s = time.monotonic() - began
            moments.append(Moment(at_s=at_s, usage=await asyncio.to_thread(usage_of, kinds)))
        states = [shown["status"] for shown in (await fleet.shown()).values()]
        ended = kinds.keys() - (await asyncio.to_thread(kinds_of, fleet.house)).keys()
        if any(kinds[pid].startswith(CHROMIUM) for pid in ended):
            raise click.ClickException(f"{flags}: a Chromium ended while it was measured; its session was restarted")
    return Density(flags=flags, sessions=sessions, moments=moments, connected=states.count("connected"))


def _report(found: list[Density], extra_args: str) -> Report:
    return Report(
        headlines=[_headline(density) for density in found],
        tables=[_summary(found, extra_args), _by_process(found)],
        data={"densities": [_plain(density) for density in found]},
        failure=_failure(found),
        charts=[
            Chart(
                title="memory of one session",
                x_label="minutes",
                y_label="MB PSS",
                series={
                    d.flags: [(m.at_s / 60, m.usage.chromium_bytes / d.sessions / 1e6) for m in d.moments]
                    for d in found
                },
                target=_MB_WANTED,
            ),
            Chart(
                title="the shard and its guard",
                x_label="minutes",
                y_label="% of a core",
                series={_label(d): _course(d, [SHARD, GUARD], 1) for d in found},
                target=_CORE_PERCENT_WANTED,
            ),
            Chart(
                title="one session's Chromium",
                x_label="minutes",
                y_label="% of a core",
                series={d.flags: _course(d, d.chromium_kinds, d.sessions) for d in found},
            ),
            _memory_chart(found),
        ],
        targets=[target for density in found if density.flags == _PRODUCT for target in _targets(density)],
    )


def _failure(found: list[Density]) -> str:
    lost = sum(density.sessions - density.connected for density in found)
    return f"{lost} sessions were not connected any more at the end" if lost else ""


def _headline(density: Density) -> str:
    return (
        f"{density.flags}, {density.sessions} sessions, {density.minutes:.1f} minutes: {density.session_mb:.1f} MB and "
        f"{density.chromium_percent / density.sessions:.2f} % of a core a session, beside them the shard "
        f"{density.cpu_percent(SHARD, GUARD):.2f} % and {density.mb(SHARD) + density.mb(GUARD):.0f} MB; "
        f"{density.connected} still connected"
    )


def _targets(density: Density) -> list[Target]:
    shard_percent = density.cpu_percent(SHARD, GUARD)
    return [
        Target(
            what="memory of a connected, idle session",
            wanted=f"<= {_MB_WANTED} MB",
            found=f"{density.session_mb:.1f} MB",
            met=density.session_mb <= _MB_WANTED,
        ),
        Target(
            what=f"an idle shard with {density.sessions} sessions, beside Chromium",
            wanted=f"< {_CORE_PERCENT_WANTED} % of a core",
            found=f"{shard_percent:.2f} %",
            met=shard_percent < _CORE_PERCENT_WANTED,
        ),
    ]


def _summary(found: list[Density], extra_args: str) -> Table:
    rows = [
        (
            _label(d),
            f"{d.session_mb:.1f}",
            f"{_growth_mb(d):+.2f}",
            f"{sum(d.moments[-1].usage.processes.get(kind, 0) for kind in d.chromium_kinds) / d.sessions:.1f}",
            f"{d.chromium_percent / d.sessions:.2f}",
            f"{d.cpu_percent(SHARD):.2f}",
            f"{d.cpu_percent(GUARD):.2f}",
            f"{d.cpu_percent(COORDINATOR):.2f}",
            f"{d.mb(SHARD):.0f}",
        )
        for d in found
    ]
    return Table(
        title="connected and idle",
        columns=(
            "flags", "MB a session", "grew, MB", "processes", "% of a core a session", "shard %", "guard %",
            "coordinator %", "shard MB",
        ),
        rows=rows,
        caption="MB of PSS at the end, % of one core on average"
        + (f"; more flags: {extra_args}" if extra_args else ""),
    )  # fmt: skip


def _growth_mb(density: Density) -> float:
    first, last = density.moments[0].usage, density.moments[-1].usage
    return (last.chromium_bytes - first.chromium_bytes) / density.sessions / 1e6


def _by_process(found: list[Density]) -> Table:
    rows = []
    for density in found:
        usage = density.moments[-1].usage
        for kind, size_bytes in sorted(usage.pss_bytes.items(), key=lambda item: -item[1]):
            rows.append(
                (
                    f"{density.flags}: {kind}",
                    str(usage.processes[kind]),
                    f"{size_bytes / 1e6:.1f}",
                    f"{size_bytes / usage.processes[kind] / 1e6:.1f}",
                    f"{density.cpu_percent(kind):.2f}",
                )
            )
    columns = ("process", "number", "MB in all", "MB each", "% of a core in all")
    return Table(title="by kind of process", columns=columns, rows=rows)


def _course(density: Density, kinds: list[str], divisor: int) -> list[tuple[float | str, float]]:
    """Return the load between each two moments."""
    return [
        ((before.at_s + after.at_s) / 120, _percent(before, after, kinds) / divisor)
        for before, after in itertools.pairwise(density.moments)
    ]


def _memory_chart(found: list[Density]) -> Chart:
    kinds = list(dict.fromkeys(kind for density in found for kind in density.chromium_kinds))
    return Chart(
        title="memory of one session by process",
        x_label="",
        y_label="MB PSS",
        kind="stacked",
        series={
            kind.removeprefix(CHROMIUM): [(density.flags, density.mb(kind) / density.sessions) for density in found]
            for kind in kinds
        },
        target=_MB_WANTED,
    )


def _label(density: Density) -> str:
    return f"{density.flags} ({density.sessions})"


def _plain(density: Density) -> dict[str, object]:
    return {
        "flags": density.flags,
        "sessions": density.sessions,
        "connected_at_end": density.connected,
        "minutes": density.minutes,
        "pss_mb_per_session": density.session_mb,
        "pss_mb_per_session_growth": _growth_mb(density),
        "chromium_core_percent_per_session": density.chromium_percent / density.sessions,
        "shard_core_percent": density.cpu_percent(SHARD),
        "guard_core_percent": density.cpu_percent(GUARD),
        "coordinator_core_percent": density.cpu_percent(COORDINATOR),
        "moments": [asdict(moment) for moment in density.moments],
    }


if __name__ == "__main__":
    main()
