"""Tables: by rich on a terminal, and uncut when they go elsewhere."""

from rich.console import Console
from rich.table import Table

_WIDE = 250


def print_table(table: Table) -> None:
    """Print a table; one that goes elsewhere than to a terminal is not cut."""
    console = Console(highlight=False, markup=False)
    (console if console.is_terminal else Console(highlight=False, markup=False, width=_WIDE)).print(table)
