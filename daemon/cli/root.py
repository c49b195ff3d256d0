"""The command group, how commands are found and fail, and those that need no running daemon."""

import signal
from typing import Any

import click
from pydantic import SecretStr
from pydantic.fields import FieldInfo

from daemon.cli.events import events
from daemon.cli.failing import report, report_interrupt
from daemon.cli.offered import offered_command, offered_names
from daemon.cli.options import json_option, wants_json
from daemon.cli.printing import print_json, print_line
from daemon.cli.restore import restore
from daemon.cli.send import send
from daemon.cli.sessions import sessions
from daemon.cli.shards import shards
from daemon.cli.tokens import tokens
from daemon.cli.webhooks import webhooks
from daemon.core.errors import SettingsError
from daemon.core.settings import SECTIONS, load_settings
from daemon.webhooks.configured import load_endpoints


class Commands(click.Group):
    """The commands of this room and those that other packages offer."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return all names in order."""
        return sorted({*super().list_commands(ctx), *offered_names()})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command by name; an own one comes before an offered one."""
        return super().get_command(ctx, cmd_name) or offered_command(cmd_name)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; whatever it raises becomes one line and an exit code.

        SIGTERM ends it like an error, so that temporary files, which may hold logins, are removed.
        """
        before = signal.signal(signal.SIGTERM, _terminated)
        try:
            return super().invoke(ctx)
        except click.Abort as error:
            # Also what "no" to a question raises, which click says itself.
            if isinstance(error.__context__, KeyboardInterrupt):
                raise SystemExit(report_interrupt()) from None
            raise
        except (click.ClickException, click.exceptions.Exit, BrokenPipeError):
            raise  # click says these itself
        except KeyboardInterrupt:
            raise SystemExit(report_interrupt()) from None
        except Exception as error:
            raise SystemExit(report(error, as_json=wants_json(ctx))) from None
        finally:
            signal.signal(signal.SIGTERM, before)


def _terminated(number: int, _: object) -> None:
    raise SystemExit(128 + number)


@click.group(cls=Commands)
@click.version_option(package_name="blazz")
def main() -> None:
    """Keep WhatsApp Web sessions alive."""


main.add_command(events)
main.add_command(restore)
main.add_command(send)
main.add_command(sessions)
main.add_command(shards)
main.add_command(tokens)
main.add_command(webhooks)


@main.command()
@json_option("Machine-readable.")
def check(as_json: bool) -> None:
    """Check all settings and say what is wrong, one line each."""
    try:
        load_endpoints(load_settings().webhook)
    except SettingsError as error:
        if as_json:
            print_json({"valid": False, "code": error.code, "errors": error.message.splitlines()})
        else:
            click.echo(error.message, err=True)
        raise SystemExit(error.exit_code) from None
    if as_json:
        print_json({"valid": True, "errors": []})
    else:
        print_line("settings are valid")


@main.command()
@click.option("--markdown", is_flag=True, help="As the table in the README.")
@json_option("Machine-readable.")
def settings(markdown: bool, as_json: bool) -> None:
    """List every setting with its default and meaning."""
    if markdown:
        click.echo(settings_table(), nl=False)
        return
    if as_json:
        fields = [field for section in SECTIONS.values() for field in section.model_fields.values()]
        print_json([{"name": f.alias, "default": _default(f), "meaning": f.description} for f in fields])
        return
    for section in SECTIONS.values():
        for field in section.model_fields.values():
            click.echo(f"{field.alias}={_default(field)}\n    {field.description}")


def settings_table() -> str:
    """Return every setting as a Markdown table."""
    rows = ["| setting | default | meaning |", "|---|---|---|"]
    for section in SECTIONS.values():
        for field in section.model_fields.values():
            default = _default(field)
            rows.append(f"| `{field.alias}` | {f'`{default}`' if default else ''} | {field.description} |")
    return "\n".join(rows) + "\n"


def _default(field: FieldInfo) -> str:
    """Return a field's default as it would stand in the environment; empty for none."""
    default = field.default
    if isinstance(default, SecretStr):
        default = default.get_secret_value()
    if default is None:
        return ""
    return str(default).lower() if isinstance(default, bool) else str(default)
