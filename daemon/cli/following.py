"""Following long work that the coordinator does: a bar on a terminal, else a plain line now and then."""

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from daemon.cli.answers import CoordinatorUnavailableError, RefusedError
from daemon.cli.printing import print_line
from daemon.core.errors import BlazzError
from daemon.core.printable import printable

_T = TypeVar("_T")

_LOOK_INTERVAL_S = 0.5
_REQUEST_S = 0.05
"""A fifth of what RATE_LIMIT_PER_MINUTE allows by default: whoever else uses the token goes on."""
_LINE_INTERVAL_S = 5.0
_PASSES = frozenset({429, 502, 503, 504})


@dataclass(frozen=True, kw_only=True)
class Step:
    """How far the work is. `note` says what else is worth knowing now."""

    done: int
    total: int
    note: str
    finished: bool
    requests: int = 1
    """How many it took to find out: the more, the longer until the next look."""


class NotFinishedError(Exception):
    """The time that one wanted to wait is over; the work goes on."""


def passes_in_s(error: BlazzError) -> float | None:
    """Return after how long to ask again about what goes on meanwhile; None: that would not help."""
    if isinstance(error, CoordinatorUnavailableError):
        return _LOOK_INTERVAL_S
    if isinstance(error, RefusedError) and error.status in _PASSES:
        return error.retry_after_s or _LOOK_INTERVAL_S
    return None


def unhurried(ask: Callable[[], _T]) -> _T:
    """Ask, and again as often as it is refused because of too many requests, when nothing has been done."""
    while True:
        try:
            return ask()
        except RefusedError as error:
            if error.status != 429:
                raise
            pause_s = error.retry_after_s or _LOOK_INTERVAL_S
            print_line(f"{error.message} ({error.code}): waiting for {pause_s:g} s", err=True)
        time.sleep(pause_s)


def follow(what: str, look: Callable[[], Step], *, timeout_s: float | None) -> Step:
    """Look again and again until the work is finished.

    What passes by itself is waited for: a coordinator or a store that is away for a moment, too many requests.

    Raises:
        NotFinishedError: not in `timeout_s`.
    """
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
               TextColumn("{task.fields[note]}", markup=False))  # fmt: skip
    console = Console(stderr=True)
    deadline = time.monotonic() + timeout_s if timeout_s is not None else float("inf")
    told = time.monotonic()
    with Progress(*columns, console=console, transient=True, disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task(what, total=None, note="")
        while True:
            step, pause_s = _looked(look)
            bar.update(task, completed=step.done, total=step.total or None, note=printable(step.note))
            if step.finished:
                return step
            if time.monotonic() > deadline:
                raise NotFinishedError
            if not sys.stderr.isatty() and time.monotonic() - told >= _LINE_INTERVAL_S:
                told = time.monotonic()
                print_line(f"{what}: {step.done} of {step.total} {step.note}".rstrip(), err=True)
            time.sleep(min(pause_s, max(0.0, deadline - time.monotonic())))


def _looked(look: Callable[[], Step]) -> tuple[Step, float]:
    """Return how far it is, and in how many seconds to look again."""
    try:
        step = look()
    except BlazzError as error:
        pause_s = passes_in_s(error)
        if pause_s is None:
            raise
        return Step(done=0, total=0, note=error.message, finished=False), pause_s
    return step, max(_LOOK_INTERVAL_S, step.requests * _REQUEST_S)
