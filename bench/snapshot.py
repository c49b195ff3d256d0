"""Are snapshots whole, and what do they cost? `python -m bench.snapshot [--quick] [--json]`.

Three measurements: hundreds of copies of a profile that a page writes as hard as it can, ours beside plain copies;
bytes and milliseconds of a snapshot; memory of a backup and a restore of a large profile.
"""

import asyncio
import dataclasses
import json
import tempfile
from dataclasses import dataclass
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from bench.costs import HOT_COPY_LIMIT_BYTES, Costs, measure_costs
from bench.machine import machine
from bench.memory import measure_memory
from tests.integration.profile.rig import opener, served_page
from tests.integration.profile.torture import Plan, Tally, Torture

_LIMIT_S = 900
_WIDTH = 110
_FAULTS = {
    "not_taken": "not taken",
    "not_opened": "did not open",
    "login_lost": "login lost",
    "writes_lost": "acknowledged writes lost",
    "lost_at_second_opening": "lost at the second opening",
    "blobs_lost": "blobs unreadable",
}


@dataclass(frozen=True, kw_only=True)
class Size:
    """How much is measured."""

    plan: Plan
    rounds: int
    large_profile_bytes: int


FULL = Size(plan=Plan(), rounds=15, large_profile_bytes=300 * 10**6)
QUICK = Size(plan=Plan(snapshots=40, plain_copies=10), rounds=5, large_profile_bytes=100 * 10**6)


@dataclass(frozen=True, kw_only=True)
class Found:
    """Everything that one run found."""

    machine: dict[str, object]
    tallies: list[Tally]
    page_wrote: int
    costs: list[Costs]
    memory: list[dict[str, object]]


@click.command()
@click.option("--quick", is_flag=True, help="Fewer copies and rounds, a smaller profile: about a minute.")
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
def main(quick: bool, as_json: bool) -> None:
    """Measure snapshots on this machine."""
    with tempfile.TemporaryDirectory(prefix="bench-") as work:
        found = asyncio.run(asyncio.wait_for(_measure(Path(work), QUICK if quick else FULL), _LIMIT_S))
    if as_json:
        click.echo(json.dumps(_plain(found), indent=1))
    else:
        console = Console()
        console.width = max(console.width, _WIDTH)
        _show(found, console)


async def _measure(work: Path, size: Size) -> Found:
    facts = await machine(work)
    async with served_page() as origin:
        open_page = opener(origin)
        torture = Torture(open_page, work, size.plan)
        await torture.run()
        costs = await measure_costs(open_page, work / "costs", rounds=size.rounds)
    return Found(
        machine=facts,
        tallies=[torture.ours, torture.plain],
        page_wrote=torture.page_wrote,
        costs=costs,
        memory=await measure_memory(work, size_bytes=size.large_profile_bytes),
    )


def _plain(found: Found) -> dict[str, object]:
    costs = [
        {"profile": c.profile, "case": c.case, "encrypted": c.encrypted, "medians": c.medians()} for c in found.costs
    ]
    return dataclasses.asdict(found) | {"costs": costs}


def _show(found: Found, console: Console) -> None:
    console.print(", ".join(f"{name.replace('_', ' ')} {value}" for name, value in found.machine.items()))
    for line in _headlines(found):
        console.print(f"- {line}", style="bold")
    console.print(_torture_table(found))
    console.print(_times_table(found.costs))
    console.print(_sizes_table(found.costs))
    console.print(_memory_table(found.memory))


def _headlines(found: Found) -> list[str]:
    ours, plain = found.tallies
    peak = max(found.memory, key=lambda step: int(str(step["peak_bytes"])))
    lines = [
        f"lost: {_share(ours)} of our live snapshots, {_share(plain)} of the plain copies",
        f"most memory above the start, of a profile of {_mb(peak['profile_bytes'])}: {_mb(peak['peak_bytes'])} "
        f"({peak['step']})",
    ]
    for profile in dict.fromkeys(costs.profile for costs in found.costs):
        of = {c.case: c.medians() for c in found.costs if c.profile == profile and not c.encrypted}
        full, small = of["full (first)"], of["small change"]
        unchanged = of["unchanged"]["cpu_ms"] / full["cpu_ms"]
        described = small["describe_ms"] / full["describe_ms"]
        lines.append(
            f"{profile}: to see that nothing changed takes {unchanged:.1%} of the processor time of a first backup; "
            f"describing a small change {described:.0%} of the time of describing all"
        )
    return lines


def _share(tally: Tally) -> str:
    count = tally.taken + tally.not_taken
    return f"{tally.lost} of {count} ({tally.lost / max(1, count):.0%})"


def _torture_table(found: Found) -> Table:
    table = Table("copies of a page that writes hard", *(tally.way for tally in found.tallies))
    table.caption = f"the page had {found.page_wrote} writes acknowledged while our snapshots were taken"
    for name in ("taken", "opened", "opened_twice"):
        table.add_row(name.replace("_", " "), *(str(getattr(tally, name)) for tally in found.tallies))
    for name, title in _FAULTS.items():
        table.add_row(title, *(str(getattr(tally, name)) for tally in found.tallies))
    times = [sorted(tally.take_ms) for tally in found.tallies]
    table.add_row("median ms to take one", *(f"{ms[len(ms) // 2]:.0f}" if ms else "" for ms in times))
    return table


def _times_table(found: list[Costs]) -> Table:
    names = ("cpu_ms", "all_ms", "fingerprint_ms", "snapshot_ms", "describe_ms", "hot_copy_ms", "archive_ms")
    titles = ("cpu", "all", "look", "take", "describe", "hot", "archive")
    table = Table("", title="milliseconds of a backup, medians", caption="nothing is sent anywhere")
    for title in titles:
        table.add_column(title, justify="right")
    for costs in found:
        medians = costs.medians()
        table.add_row(_label(costs), *(f"{medians[name]:.1f}" if name in medians else "" for name in names))
    return table


def _sizes_table(found: list[Costs]) -> Table:
    table = Table("", title="kB of a backup, medians", caption=f"hot copies of up to {HOT_COPY_LIMIT_BYTES // 1000} kB")
    for title in ("files", "hot copy", "archive"):
        table.add_column(title, justify="right")
    for costs in found:
        medians = costs.medians()
        if "files_bytes" in medians:
            hot = f"{medians['hot_copy_bytes'] / 1000:.0f}" if "hot_copy_bytes" in medians else "too large"
            table.add_row(
                _label(costs), f"{medians['files_bytes'] / 1000:.0f}", hot, f"{medians['archive_bytes'] / 1000:.0f}"
            )
    return table


def _label(costs: Costs) -> str:
    return f"{costs.profile}, {costs.case}{', encrypted' if costs.encrypted else ''}"


def _memory_table(found: list[dict[str, object]]) -> Table:
    table = Table("step", "encrypted", "peak above start", "of it anonymous", title="memory of a large profile")
    for step in found:
        encrypted = "yes" if step["encrypted"] else "no"
        table.add_row(str(step["step"]), encrypted, _mb(step["peak_bytes"]), _mb(step["peak_anonymous_bytes"]))
    table.caption = "own memory of a process that does only this; page cache is not counted"
    return table


def _mb(size_bytes: object) -> str:
    return f"{int(str(size_bytes)) / 2**20:.1f} MiB"


if __name__ == "__main__":
    main()
