"""Are snapshots whole, and what do they cost? `python -m bench.snapshot`.

Three measurements: hundreds of copies of a profile that a page writes as hard as it can, ours beside plain copies;
bytes and milliseconds of a snapshot; memory of a backup and a restore of a large profile.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from bench.costs import HOT_COPY_LIMIT_BYTES, NEW_LOGIN, Costs, measure_costs
from bench.form import Run, bench
from bench.memory import Peak, measure_memory
from bench.report import Chart, Report, Spread, Table, Target
from tests.integration.profile.rig import opener, served_page
from tests.integration.profile.torture import Plan, Tally, Torture

_MEMORY_LIMIT_BYTES = 64 * 2**20
_SMALL_HOT_COPY_BYTES = 100_000
_FAULTS = {
    "not_taken": "not taken",
    "not_opened": "did not open",
    "login_lost": "login lost",
    "writes_lost": "acknowledged writes lost",
    "lost_at_second_opening": "lost at the second opening",
    "blobs_lost": "blobs unreadable",
}
_STEPS = {
    "fingerprint_ms": "look",
    "snapshot_ms": "take",
    "describe_ms": "describe",
    "hot_copy_ms": "hot copy",
    "archive_ms": "archive",
}


@dataclass(frozen=True, kw_only=True)
class Size:
    """How much is measured."""

    plan: Plan
    rounds: int
    grown_writes: int
    """Writes of 20 to 60 KB that make a login a grown one."""
    large_profile_bytes: int


_WHOLE = Size(plan=Plan(), rounds=15, grown_writes=300, large_profile_bytes=300 * 10**6)
_QUICK = Size(
    plan=Plan(snapshots=2, plain_copies=1, openers=2), rounds=1, grown_writes=10, large_profile_bytes=30 * 10**6
)


@dataclass(frozen=True, kw_only=True)
class Found:
    """Everything that one run found."""

    ours: Tally
    plain: Tally
    page_wrote: int
    costs: list[Costs]
    memory: list[Peak]


@bench(title="Are snapshots whole, and what do they cost?")
async def main(run: Run) -> Report:
    """Copies of a page that writes hard, the cost of a backup, the memory of a large profile."""
    return _report(await _measure(run, _QUICK if run.quick else _WHOLE))


async def _measure(run: Run, size: Size) -> Found:
    async with served_page() as origin:
        open_page = opener(origin)
        with run.progress("taking and opening snapshots", size.plan.snapshots) as advance:
            torture = Torture(open_page, run.work, size.plan, tell=advance)
            await torture.run()
        with run.progress("measuring backups", 4) as advance:
            costs = await measure_costs(
                open_page, run.work / "costs", rounds=size.rounds, grown_writes=size.grown_writes, tell=advance
            )
    with run.progress("measuring memory", 2) as advance:
        memory = await measure_memory(run.work, size_bytes=size.large_profile_bytes, tell=advance)
    return Found(ours=torture.ours, plain=torture.plain, page_wrote=torture.page_wrote, costs=costs, memory=memory)


def _report(found: Found) -> Report:
    return Report(
        headlines=_headlines(found),
        tables=[_torture_table(found), _times_table(found.costs), _sizes_table(found.costs), _memory_table(found)],
        data={
            "copies": [asdict(tally) | {"lost": tally.lost} for tally in (found.ours, found.plain)],
            "page_wrote": found.page_wrote,
            "costs": [_plain(costs) for costs in found.costs],
            "memory": [asdict(peak) for peak in found.memory],
        },
        charts=_charts(found),
        targets=_targets(found),
    )


def _plain(costs: Costs) -> dict[str, object]:
    spreads = {name: asdict(spread) for name, spread in costs.spreads().items()}
    return {"profile": costs.profile, "case": costs.case, "encrypted": costs.encrypted} | spreads


def _headlines(found: Found) -> list[str]:
    peak = _peak(found)
    lines = [
        f"lost: {_share(found.ours)} of our live snapshots, {_share(found.plain)} of the plain copies",
        f"most memory above the start, of a profile of {_mebibytes(peak.profile_bytes)}: "
        f"{_mebibytes(peak.peak_bytes)} ({peak.step})",
    ]
    for profile in dict.fromkeys(costs.profile for costs in found.costs):
        of = {c.case: c.spreads() for c in found.costs if c.profile == profile and not c.encrypted}
        full, small = of["full (first)"], of["small change"]
        unchanged = of["unchanged"]["cpu_ms"].median / full["cpu_ms"].median
        described = small["describe_ms"].median / full["describe_ms"].median
        lines.append(
            f"{profile}: to see that nothing changed takes {unchanged:.1%} of the processor time of a first backup; "
            f"describing a small change {described:.0%} of the time of describing all"
        )
    return lines


def _peak(found: Found) -> Peak:
    return max(found.memory, key=lambda peak: peak.peak_bytes)


def _share(tally: Tally) -> str:
    count = tally.taken + tally.not_taken
    return f"{tally.lost} of {count} ({tally.lost / max(1, count):.0%})"


def _torture_table(found: Found) -> Table:
    tallies = (found.ours, found.plain)
    rows = [
        (name.replace("_", " "), *(str(getattr(tally, name)) for tally in tallies))
        for name in ("taken", "opened", "opened_twice")
    ]
    rows += [(title, *(str(getattr(tally, name)) for tally in tallies)) for name, title in _FAULTS.items()]
    rows.append(("ms to take one", *(_spread(tally.take_ms, ".0f") for tally in tallies)))
    return Table(
        title="copies of a page that writes hard",
        columns=("", *(tally.way for tally in tallies)),
        rows=rows,
        caption=f"the page had {found.page_wrote} writes acknowledged while our snapshots were taken",
    )


def _spread(values: Sequence[float], form: str) -> str:
    return Spread.of(values).text(form) if values else ""


def _times_table(found: list[Costs]) -> Table:
    columns = {"cpu_ms": "cpu", "all_ms": "all", **_STEPS}
    rows = []
    for costs in found:
        spreads = costs.spreads()
        rows.append((_label(costs), *(_median(spreads.get(name), 1, ".1f") for name in columns)))
    return Table(
        title="milliseconds of a backup, medians",
        columns=("", *columns.values()),
        rows=rows,
        caption=f"of {len(found[0].samples['all_ms'])} each; nothing is sent anywhere",
    )


def _sizes_table(found: list[Costs]) -> Table:
    rows = []
    for costs in found:
        spreads = costs.spreads()
        if "files_bytes" in spreads:
            hot = _median(spreads.get("hot_copy_bytes"), 1000, ".0f") or "too large"
            files, archive = (_median(spreads[name], 1000, ".0f") for name in ("files_bytes", "archive_bytes"))
            rows.append((_label(costs), files, hot, archive))
    return Table(
        title="kB of a backup, medians",
        columns=("", "files", "hot copy", "archive"),
        rows=rows,
        caption=f"hot copies of up to {HOT_COPY_LIMIT_BYTES // 1000} kB",
    )


def _median(spread: Spread | None, unit: float, form: str) -> str:
    return format(spread.median / unit, form) if spread is not None else ""


def _label(costs: Costs) -> str:
    return f"{costs.profile}, {costs.case}{', encrypted' if costs.encrypted else ''}"


def _memory_table(found: Found) -> Table:
    return Table(
        title=f"memory of a profile of {_mebibytes(found.memory[0].profile_bytes)}",
        columns=("step", "peak above start", "of it anonymous"),
        rows=[
            (
                f"{peak.step}{', encrypted' if peak.encrypted else ''}",
                _mebibytes(peak.peak_bytes),
                _mebibytes(peak.peak_anonymous_bytes),
            )
            for peak in found.memory
        ],
        caption="own memory of a process that does only this; page cache is not counted",
    )


def _mebibytes(size_bytes: int) -> str:
    return f"{size_bytes / 2**20:.1f} MiB"


def _charts(found: Found) -> list[Chart]:
    full = [costs for costs in found.costs if not costs.encrypted]
    return [
        Chart(
            title="copies that were not whole",
            x_label="",
            y_label="% of the copies",
            kind="stacked",
            series={
                title: [(tally.way, _percent(tally, name)) for tally in (found.ours, found.plain)]
                for name, title in _FAULTS.items()
            },
        ),
        *(_steps_chart(profile, full) for profile in dict.fromkeys(costs.profile for costs in full)),
        Chart(
            title=f"memory of a profile of {_mebibytes(found.memory[0].profile_bytes)}",
            x_label="",
            y_label="MiB above the start",
            kind="bars",
            series={
                name: [(peak.step, peak.peak_bytes / 2**20) for peak in found.memory if peak.encrypted is encrypted]
                for name, encrypted in (("plain", False), ("encrypted", True))
            },
            target=_MEMORY_LIMIT_BYTES / 2**20,
        ),
    ]


def _percent(tally: Tally, fault: str) -> float:
    return 100 * int(getattr(tally, fault)) / max(1, tally.taken + tally.not_taken)


def _steps_chart(profile: str, found: list[Costs]) -> Chart:
    cases = [(costs.case, costs.spreads()) for costs in found if costs.profile == profile]
    return Chart(
        title=f"a backup of a {profile} profile",
        x_label="",
        y_label="ms, medians",
        kind="stacked",
        series={
            title: [(case, spreads[name].median if name in spreads else 0.0) for case, spreads in cases]
            for name, title in _STEPS.items()
        },
    )


def _targets(found: Found) -> list[Target]:
    peak = _peak(found)
    hot_bytes = max(costs.spreads()["hot_copy_bytes"].median for costs in found.costs if _has_small_hot_copy(costs))
    return [
        Target(
            what="live snapshots that lost something",
            wanted="0",
            found=_share(found.ours),
            met=not found.ours.lost,
            must=True,
        ),
        Target(
            what=f"memory for a profile of {_mebibytes(peak.profile_bytes)}",
            wanted=f"< {_mebibytes(_MEMORY_LIMIT_BYTES)}",
            found=_mebibytes(peak.peak_bytes),
            met=peak.peak_bytes < _MEMORY_LIMIT_BYTES,
        ),
        Target(
            what="hot copy of a new login",
            wanted=f"<= {_SMALL_HOT_COPY_BYTES / 1000:.0f} kB",
            found=f"{hot_bytes / 1000:.0f} kB",
            met=hot_bytes <= _SMALL_HOT_COPY_BYTES,
        ),
    ]


def _has_small_hot_copy(costs: Costs) -> bool:
    return costs.profile == NEW_LOGIN and "hot_copy_bytes" in costs.samples


if __name__ == "__main__":
    main()
