"""Options that many commands have, so that they are called and explained alike."""

import click

AS_JSON = click.option("--json", "as_json", is_flag=True, help="Print what the API says, as JSON.")
TIMEOUT = click.option(
    "--timeout", "timeout_s", type=click.FloatRange(min=0), help="With --wait: for so many seconds only."
)
YES = click.option("--yes", is_flag=True, help="Do not ask.")
