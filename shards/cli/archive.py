"""`blazz archive`: looking at archives, checking them, and taking over those of a Node service."""

import click


@click.group()
def archive() -> None:
    """Archives: what is in them, whether they are good, and taking over those of a Node service."""
