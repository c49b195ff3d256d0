"""`python -m tests.faults.simulation --seed N [--count M]`: run schedules and say what happened in them."""

import asyncio
import sys
import time

import click

from tests.faults.simulation.rig import AT_ONCE, open_yard
from tests.faults.simulation.running import broken_by
from tests.faults.simulation.schedule import make_schedule


@click.command()
@click.option("--seed", default=0, help="The first seed.")
@click.option("--count", default=1, help="How many seeds from there on.")
@click.option("--at-once", default=AT_ONCE, help="How many schedules run at once.")
@click.option("--breaks", multiple=True, help="What of the product to break, see `breaking`.")
@click.option("--report", type=click.Choice(["never", "broken", "always"]), default="broken", help="What to tell.")
def main(seed: int, count: int, at_once: int, breaks: tuple[str, ...], report: str) -> None:
    """Run schedules; the exit code says whether something was broken."""
    schedules = [broken_by(make_schedule(number), *breaks) for number in range(seed, seed + count)]
    began_mono_s = time.monotonic()
    with open_yard(buckets=count) as yard:
        verdicts = asyncio.run(yard.run(schedules, at_once=at_once))
    for verdict in verdicts:
        bad = "; ".join(verdict.broken) or "good"
        click.echo(f"{verdict.schedule.seed:5} logins={verdict.logins} settled_s={verdict.settled_s:.1f} {bad}")
        if report == "always" or (verdict.broken and report == "broken"):
            click.echo(verdict.report)
    broken = sum(bool(verdict.broken) for verdict in verdicts)
    click.echo(f"{count} schedules, {broken} broken, {time.monotonic() - began_mono_s:.1f} s")
    sys.exit(1 if broken else 0)


if __name__ == "__main__":
    main()
