"""The form that all benches have: `python -m bench.<name> [--quick] [--json FILE] [--plot FILE]`.

A bench is one async function that is given a `Run` and its own options and returns a `Report`:

    @bench(title="How long is a piece of string?", seed=1)
    @click.option("--pieces", default=100, show_default=True)
    async def main(run: Run, *, pieces: int) -> Report: ...
"""

import asyncio
import functools
import json
import random
import shlex
import signal
import sys
import tempfile
from collections.abc import Awaitable, Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import click
from click.core import ParameterSource
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table as RichTable

from bench.machine import machine
from bench.report import Report, Table
from daemon.core.clock import utc_now

_WIDTH = 120
_OF_THE_FORM = {"as_json", "plot"}


class Advance(Protocol):
    """Says that so many more of the announced steps are done."""

    def __call__(self, steps: float = 1) -> None:
        """Move the bar."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """What a bench is given: how much to measure, where to write, how to show that it goes on."""

    quick: bool
    """Only show that the bench works: as few and as short measurements as possible."""
    work: Path
    """A directory of its own, removed at the end."""
    seed: int
    random: random.Random
    """The only source of chance, so that each run does the same."""
    _console: Console = field(repr=False)

    @contextmanager
    def progress(self, what: str, total: float) -> Iterator[Advance]:
        """Show a bar with the time so far on standard error; where that is no terminal, a line at each end."""
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        if not self._console.is_terminal:
            self._console.print(f"{what} ...")
        with Progress(*columns, console=self._console, transient=True, disable=not self._console.is_terminal) as shown:
            task = shown.add_task(what, total=total)

            def advance(steps: float = 1) -> None:
                shown.advance(task, steps)

            yield advance

    def say(self, text: str) -> None:
        """Print a line about the run on standard error."""
        self._console.print(text)


def bench(
    *, title: str, seed: int = 1, limit_s: float = 3600, secret: Collection[str] = ()
) -> Callable[[Callable[..., Awaitable[Report]]], Any]:
    """Make a click command of a bench. `title` is the question that it answers; it is cut off after `limit_s`.

    Options in `secret` are neither shown nor written.
    """

    def make(measure: Callable[..., Awaitable[Report]]) -> click.Command:
        @functools.wraps(measure)
        def command(*, quick: bool, as_json: Path | None, plot: Path | None, **options: Any) -> None:
            with _interrupted_by_sigterm(), tempfile.TemporaryDirectory(prefix="bench-") as work:
                run = Run(
                    quick=quick,
                    work=Path(work),
                    seed=seed,
                    random=random.Random(seed),
                    _console=Console(stderr=True, highlight=False),
                )
                facts, report = asyncio.run(_measure(measure, run, options, limit_s))
            shown = {name: value for name, value in options.items() if name not in secret}
            _show(title, facts, report)
            if as_json is not None:
                _write_json(as_json, title, run, shown, _command_line({*_OF_THE_FORM, *secret}), facts, report)
            if plot is not None:
                from bench.plots import draw  # matplotlib takes a second

                draw(report.charts, title, plot)
            if report.fault:
                raise click.ClickException(report.fault)

        for option in _OPTIONS:
            command = option(command)
        return click.command(help=f"{title}\n\n{measure.__doc__ or ''}")(command)

    return make


_OPTIONS = (
    click.option("--quick", is_flag=True, help="A short run that only shows that everything works."),
    click.option(
        "--json", "as_json", type=click.Path(dir_okay=False, path_type=Path), help="Write everything as JSON to a file."
    ),
    click.option("--plot", type=click.Path(dir_okay=False, path_type=Path), help="Draw the results into a PNG file."),
)


@contextmanager
def _interrupted_by_sigterm() -> Iterator[None]:
    """Have SIGTERM, as of `timeout`, end everything that was started, as Ctrl-C does."""
    signal.signal(
        signal.SIGINT, signal.default_int_handler
    )  # a shell has it ignored in what it starts in the background
    before = signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


async def _measure(
    measure: Callable[..., Awaitable[Report]], run: Run, options: dict[str, Any], limit_s: float
) -> tuple[dict[str, object], Report]:
    facts = await machine(run.work)
    try:
        return facts, await asyncio.wait_for(measure(run, **options), limit_s)
    except TimeoutError:
        raise click.ClickException(f"not done within {limit_s:.0f} s") from None


def _write_json(
    to: Path, title: str, run: Run, options: dict[str, Any], command: str, facts: dict[str, object], report: Report
) -> None:
    content = {
        "title": title,
        "date": utc_now().date().isoformat(),
        "command": command,
        "quick": run.quick,
        "seed": run.seed,
        "options": options,
        "machine": facts,
    }
    to.parent.mkdir(parents=True, exist_ok=True)
    to.write_text(json.dumps(content | report.plain(), indent=1, default=str) + "\n", encoding="utf-8")


def _command_line(without: Collection[str]) -> str:
    """Return what was typed, but for these options."""
    context = click.get_current_context()
    words = ["python", "-m", f"bench.{Path(sys.argv[0]).stem}"]
    for option in context.command.params:
        value, name = context.params[option.name or ""], option.opts[-1]
        if context.get_parameter_source(option.name or "") is not ParameterSource.COMMANDLINE or option.name in without:
            continue
        if isinstance(option, click.Option) and option.is_flag:
            words.append(name if value else option.secondary_opts[-1])
        else:
            for one in value if option.multiple else (value,):
                words += [name, str(one)]
    return shlex.join(words)


def _show(title: str, facts: dict[str, object], report: Report) -> None:
    console = Console(highlight=False)
    console.width = max(console.width, _WIDTH)
    console.print(title, style="bold")
    console.print(", ".join(f"{name.replace('_', ' ')} {value}" for name, value in facts.items()), style="dim")
    for line in report.headlines:
        console.print(f"- {line}")
    for table in report.tables:
        console.print(_rich(table))
    if report.targets:
        rows = [(t.what, t.wanted, t.found, "yes" if t.met else "NO") for t in report.targets]
        console.print(_rich(Table(title="targets", columns=("what", "wanted", "found", "met"), rows=rows)))


def _rich(table: Table) -> RichTable:
    made = RichTable(title=table.title or None, caption=table.caption or None)
    for index, column in enumerate(table.columns):
        made.add_column(column, justify="right" if index else "left")
    for row in table.rows:
        made.add_row(*row)
    return made
