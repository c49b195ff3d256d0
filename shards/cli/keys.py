"""`blazz keys`: the keys that archives and hot copies are encrypted with."""

import sys

import click

from daemon.core.archive_keys import archive_keys_text
from daemon.core.clock import utc_now
from daemon.core.sections import ArchiveSettings
from daemon.core.settings import load_section
from shards.cli.key_file import new_key_id, with_new_key, write_new_key


@click.group()
def keys() -> None:
    """Keys that archives and hot copies are encrypted with."""


@keys.command()
@click.option("--id", "key_id", help="Id of the new key; default today's date.")
@click.option("--write", is_flag=True, help="Put it in front of ARCHIVE_KEYS in DATA_ROOT/secrets.env.")
def new(key_id: str | None, write: bool) -> None:
    """Make a key. Without --write, print the new value of ARCHIVE_KEYS, which is a secret."""
    if write:
        key_id, path = write_new_key(key_id, utc_now().date())
        click.echo(f"key {key_id} is now the first of ARCHIVE_KEYS in {path}", err=True)
    else:
        present = load_section(ArchiveSettings).keys
        key_id = key_id or new_key_id(present, utc_now().date())
        click.echo(archive_keys_text(with_new_key(present, key_id)))
        if sys.stdout.isatty():
            click.echo("this is a secret and stands on your screen now: clear it when you have stored it", err=True)
    click.echo(
        "keep a copy of it elsewhere: without it nobody can open what it seals. Give it to every host, restart"
        " coordinator and shards, then run `blazz keys rotate`",
        err=True,
    )
