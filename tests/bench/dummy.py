"""A bench that measures nothing: `python -m tests.bench.dummy`."""

import asyncio

import click

from bench.form import Run, bench
from bench.report import Chart, Report, Table, Target


@bench(title="How long is a piece of string?", seed=3, limit_s=2, secret=("password",))
@click.option("--pieces", default=2, show_default=True)
@click.option("--name", "names", multiple=True)
@click.option("--password")
@click.option("--fail", is_flag=True)
@click.option("--hang", is_flag=True)
@click.option("--undrawn", is_flag=True)
@click.option("--straight/--coiled", default=True)
async def main(
    run: Run,
    *,
    pieces: int,
    names: tuple[str, ...],
    password: str | None,
    fail: bool,
    hang: bool,
    undrawn: bool,
    straight: bool,
) -> Report:
    """Measure string."""
    with run.progress("measuring", pieces) as advance:
        lengths = []
        for _ in range(pieces):
            lengths.append(run.random.randint(1, 100))
            advance()
    if hang:
        (run.work / "hangs").touch()
        await asyncio.sleep(60)
    rows = [(str(number), str(cm)) for number, cm in enumerate(lengths)]
    return Report(
        headlines=[f"{pieces} pieces"],
        tables=[Table(title="pieces", columns=("piece", "cm"), rows=rows)],
        data={"lengths_cm": lengths, "quick_run": run.quick, "work": str(run.work)},
        charts=[] if undrawn else [
            Chart(title="length", x_label="piece", y_label="cm", series={"string": list(enumerate(lengths))}, target=50)
        ],
        targets=[Target(what="pieces", wanted=">= 2", found=str(pieces), met=pieces >= 2)],
        failure="the string is torn" if fail else "",
    )  # fmt: skip


if __name__ == "__main__":
    main()
