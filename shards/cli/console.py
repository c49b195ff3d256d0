"""Standard output for tables."""

from rich.console import Console

_WIDE = 250


def output_console() -> Console:
    """Return the console on standard output; a table that goes elsewhere than to a terminal is not cut."""
    console = Console(highlight=False, markup=False)
    return console if console.is_terminal else Console(highlight=False, markup=False, width=_WIDE)
