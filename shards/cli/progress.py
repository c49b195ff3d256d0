"""How far a long command is: a bar on a terminal, else a plain line now and then on standard error.

Results go to standard output, above the bar where both share a terminal; and to standard error beside JSON.
"""

import sys
from types import TracebackType
from typing import Self

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from daemon.core.clock import mono_s
from daemon.core.printable import printable

_LINE_INTERVAL_S = 5.0


class ProgressLine:
    """The progress of one command. `total` is None while nobody knows it; `as_json`: standard output is for JSON."""

    def __init__(self, what: str, *, total: int | None = None, as_json: bool = False) -> None:
        self._what = what
        self._total = total
        self._done = 0
        self._told_mono_s = mono_s()
        self._as_json = as_json
        self._shared = sys.stdout.isatty() and not as_json
        self._bar = self._make_bar() if self._shared or sys.stderr.isatty() else None

    def _make_bar(self) -> Progress:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        bar = Progress(*columns, console=Console(stderr=not self._shared), transient=True, redirect_stdout=False)
        self._task = bar.add_task(self._what, total=self._total)
        return bar

    def __enter__(self) -> Self:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def expect(self, total: int) -> None:
        """Say how many there are."""
        self._total = total
        if self._bar is not None:
            self._bar.update(self._task, total=total)

    def step(self) -> None:
        """Count one as done."""
        self._done += 1
        if self._bar is not None:
            self._bar.advance(self._task)
        elif mono_s() - self._told_mono_s >= _LINE_INTERVAL_S:
            self._told_mono_s = mono_s()
            of_all = f" of {self._total}" if self._total is not None else ""
            click.echo(f"{self._what}: {self._done}{of_all}", err=True)

    def print(self, line: str) -> None:
        """Print one line of results. Names of objects and files are whatever somebody gave them."""
        line = printable(line)
        if self._bar is not None and self._shared:
            self._bar.console.print(line, markup=False, highlight=False, soft_wrap=True)
        else:
            click.echo(line, err=self._as_json)
