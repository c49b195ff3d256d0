"""What the commands print: lines, tables and JSON. Texts of strangers go through here only, so none is obeyed."""

import json
from collections.abc import Iterable, Sequence

import click
from rich.console import Console
from rich.table import Table

from daemon.core.printable import printable

_WIDE = 250


def print_line(line: str, *, err: bool = False) -> None:
    """Print one line, on standard output or on standard error."""
    click.echo(printable(line), err=err)


def print_json(told: object, *, err: bool = False) -> None:
    """Print one document on one line."""
    click.echo(json.dumps(told), err=err)


def print_table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table; one that goes elsewhere than to a terminal is not cut."""
    table = Table(*titles, box=None)
    for row in rows:
        table.add_row(*map(printable, row))
    console = Console(highlight=False, markup=False)
    (console if console.is_terminal else Console(highlight=False, markup=False, width=_WIDE)).print(table)
