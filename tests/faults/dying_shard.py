"""`python -m tests.faults.dying_shard --note FILE --step STEP... -- --name shard_00`: a shard that dies at a step.

The real shard in a process that kills itself; see `tests.faults.steps` for how a step is written. Several steps must
be reached one after another. A step that does not exist ends the process at once with a usage error.
"""

import sys
from pathlib import Path

import click

from daemon.core.exit_codes import ExitCode
from tests.faults.steps import Fuse, Step, UnknownStepError


@click.command()
@click.option("--note", required=True, type=click.Path(path_type=Path), help="File that tells that the step came.")
@click.option("--step", "steps", required=True, multiple=True, help="Where to die; several come one after another.")
@click.option("--armed-by", type=click.Path(path_type=Path), help="Calls count only while this file exists.")
@click.argument("arguments", nargs=-1)
def main(note: Path, steps: tuple[str, ...], armed_by: Path | None, arguments: tuple[str, ...]) -> None:
    """Wrap the product and run the shard."""
    try:
        Fuse([Step.parse(step) for step in steps], note=note, armed_by=armed_by).attach()
    except UnknownStepError as error:
        print(f"dying_shard: {error}", file=sys.stderr)
        sys.exit(ExitCode.USAGE)
    from shards.__main__ import main as shard_main

    shard_main(list(arguments))


if __name__ == "__main__":
    main()
