"""Following long work that the coordinator does: a bar on a terminal, else a plain line now and then."""

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from daemon.cli.client import CoordinatorUnavailableError

_LOOK_INTERVAL_S = 0.5
_LINE_INTERVAL_S = 5.0


@dataclass(frozen=True, kw_only=True)
class Step:
    """How far the work is. `note` says what else is worth knowing now."""

    done: int
    total: int
    note: str
    finished: bool


class NotFinishedError(Exception):
    """The time that one wanted to wait is over; the work goes on."""


def follow(what: str, look: Callable[[], Step], *, timeout_s: float | None) -> Step:
    """Look again and again until the work is finished; a coordinator that is away for a moment is waited for.

    Raises:
        NotFinishedError: not in `timeout_s`.
    """
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
               TextColumn("{task.fields[note]}"))  # fmt: skip
    console = Console(stderr=True)
    deadline = time.monotonic() + timeout_s if timeout_s is not None else float("inf")
    told = time.monotonic()
    with Progress(*columns, console=console, transient=True, disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task(what, total=None, note="")
        while True:
            try:
                step = look()
            except CoordinatorUnavailableError as error:
                step = Step(done=0, total=0, note=error.message, finished=False)
            bar.update(task, completed=step.done, total=step.total or None, note=step.note)
            if step.finished:
                return step
            if time.monotonic() > deadline:
                raise NotFinishedError
            if not sys.stderr.isatty() and time.monotonic() - told >= _LINE_INTERVAL_S:
                told = time.monotonic()
                click.echo(f"{what}: {step.done} of {step.total} {step.note}".rstrip(), err=True)
            time.sleep(_LOOK_INTERVAL_S)
