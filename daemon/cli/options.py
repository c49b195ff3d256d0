"""Options that many commands have, so that they are called and explained alike."""

from collections.abc import Callable
from typing import Any

import click

_AS_JSON = "daemon.cli.as_json"


def json_option(help_text: str) -> Callable[[Any], Any]:
    """Return the option `--json`; with it errors are JSON, too."""
    return click.option("--json", "as_json", is_flag=True, help=help_text, callback=_remember)


def wants_json(ctx: click.Context) -> bool:
    """Whether the command that runs has been given `--json`."""
    return bool(ctx.meta.get(_AS_JSON))


def _remember(ctx: click.Context, _: click.Parameter, given: bool) -> bool:
    ctx.meta[_AS_JSON] = given  # all contexts of one call share it
    return given


AS_JSON = json_option("Print what the API says, as JSON.")
TIMEOUT = click.option(
    "--timeout", "timeout_s", type=click.FloatRange(min=0), help="With --wait: for so many seconds only."
)
YES = click.option("--yes", is_flag=True, help="Do not ask.")
