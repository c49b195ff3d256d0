"""The command group and what needs no running daemon."""

import click

from daemon.core.errors import SettingsError
from daemon.core.exit_codes import ExitCode
from daemon.core.settings import SECTIONS, load_settings


@click.group()
@click.version_option(package_name="blazz")
def main() -> None:
    """Keep WhatsApp Web sessions alive."""


@main.command()
def check() -> None:
    """Check all settings and say what is wrong, one line each."""
    try:
        load_settings()
    except SettingsError as error:
        click.echo(error.message, err=True)
        raise SystemExit(ExitCode.CONFIG) from None
    click.echo("settings are valid")


@main.command()
def settings() -> None:
    """List every setting with its default and meaning."""
    for section in SECTIONS.values():
        for field in section.model_fields.values():
            default = "" if "Secret" in str(field.annotation) or field.default is None else field.default
            click.echo(f"{field.alias}={default}\n    {field.description}")
