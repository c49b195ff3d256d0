"""One timed line for each step as it ends, and the table of them all."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from rich.console import Console
from rich.markup import escape
from rich.table import Table

T = TypeVar("T")
_POLL_S = 0.1


class StepFailed(Exception):
    """What should have happened did not."""


@dataclass(kw_only=True)
class Step:
    """One step: what it shows, how long it took, what was seen."""

    title: str
    seen: str = ""
    took_s: float = 0.0
    held: bool = False


class Steps:
    """The steps so far."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._began_mono_s = time.monotonic()
        self.done: list[Step] = []

    @contextlib.asynccontextmanager
    async def step(self, title: str) -> AsyncIterator[Step]:
        """Time the block and print its line; set `seen` inside."""
        step, began_mono_s = Step(title=title), time.monotonic()
        self.done.append(step)
        try:
            yield step
            step.held = True
        except Exception as error:
            step.seen = f"{error}" if isinstance(error, StepFailed) else f"{type(error).__name__}: {error}"
            raise
        finally:
            step.took_s = time.monotonic() - began_mono_s
            mark = "[green]ok  [/]" if step.held else "[red]FAIL[/]"
            self._console.print(
                f"{mark} {step.took_s:5.1f} s  [bold]{escape(title)}[/]  {escape(step.seen)}", soft_wrap=True
            )

    def table(self) -> Table:
        """Return the summary."""
        table = Table(title="The main job, step by step")
        table.add_column("step")
        table.add_column("seconds", justify="right")
        table.add_column("seen")
        for step in self.done:
            table.add_row(step.title, f"{step.took_s:.1f}", escape(step.seen), style="" if step.held else "red")
        total_s = time.monotonic() - self._began_mono_s
        held = all(step.held for step in self.done)
        table.add_section()
        table.add_row("all", f"{total_s:.1f}", "every step held" if held else "a step failed", style="bold")
        return table


async def until(what: str, probe: Callable[[], Awaitable[T | None]], *, limit_s: float = 60.0) -> T:
    """Return the first true answer of `probe`.

    Raises:
        StepFailed: none came within `limit_s`.
    """
    deadline_mono_s = time.monotonic() + limit_s
    while time.monotonic() < deadline_mono_s:
        if answer := await probe():
            return answer
        await asyncio.sleep(_POLL_S)
    raise StepFailed(f"not within {limit_s:.0f} s: {what}")
