"""Commands that other packages offer as entry points of the group `blazz.commands`, found by name and loaded when used.

This room imports none of them. One that cannot be loaded says so when it is called and leaves the others alone.
"""

from importlib.metadata import EntryPoint, entry_points

import click

from daemon.core.errors import BlazzError

GROUP = "blazz.commands"


class CommandNotLoadedError(BlazzError):
    """A command that an installed package offers cannot be loaded."""

    code = "command_not_loaded"


def offered_names() -> list[str]:
    """Return the names of all offered commands, loading none."""
    return sorted(entry_points(group=GROUP).names)


def offered_command(name: str) -> click.Command | None:
    """Return an offered command, one that explains itself if it cannot be loaded, or None if nobody offers it."""
    found = next(iter(entry_points(group=GROUP, name=name)), None)
    if found is None:
        return None
    try:
        command = found.load()
    except Exception as error:  # whatever a foreign package does while it is imported
        return _explain(found, f"{type(error).__name__}: {error}")
    return command if isinstance(command, click.Command) else _explain(found, "it is not a click command")


def _explain(offered: EntryPoint, why: str) -> click.Command:
    """Return a command in the place of one that cannot be loaded: takes any arguments and fails."""

    def fail(arguments: tuple[str, ...]) -> None:
        raise CommandNotLoadedError(
            f"the command {offered.name} cannot be loaded: {why}",
            hint="install the package again with bin/setup",
            from_package=offered.value,
        )

    return click.Command(
        offered.name,
        callback=fail,
        params=[click.Argument(["arguments"], nargs=-1, type=click.UNPROCESSED)],
        context_settings={"ignore_unknown_options": True},
        add_help_option=False,
        short_help="(cannot be loaded)",
    )
