"""`blazz tokens`: who may use the API, and for what."""

import json
from typing import Any

import click
from rich.table import Table

from daemon.cli.client import Coordinator
from daemon.cli.tables import print_table

_PATH = "/api/whatsapp/tokens"
_SCOPES = ("read", "send", "manage", "admin")


@click.group()
def tokens() -> None:
    """Make, list and revoke API tokens."""


@tokens.command("create")
@click.option("--name", required=True, help="What people call it, as `laravel production`.")
@click.option("--scope", "scopes", multiple=True, required=True, type=click.Choice(_SCOPES), help="May be repeated.")
@click.option("--workspace", "workspaces", multiple=True, help="Limit it to this workspace; may be repeated.")
@click.option("--days", type=click.IntRange(1, 3650), help="After so many days it works no more.")
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
def create(name: str, scopes: tuple[str, ...], workspaces: tuple[str, ...], days: int | None, as_json: bool) -> None:
    """Make a token and print it. It is shown only now, as a hash of it is all that is kept."""
    body = {"name": name, "scopes": scopes, "workspaces": workspaces or None, "expires_in_days": days}
    with Coordinator() as coordinator:
        made = coordinator.post(_PATH, body)
    if as_json:
        click.echo(json.dumps(made))
        return
    click.echo(made["token"])
    click.echo(f"made {made['id']} ({', '.join(made['scopes'])}); it is not shown again", err=True)


@tokens.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print them as JSON.")
def list_tokens(as_json: bool) -> None:
    """List the tokens; API_TOKEN is not among them."""
    with Coordinator() as coordinator:
        found = coordinator.get(_PATH)["tokens"]
    if as_json:
        click.echo(json.dumps(found))
        return
    table = Table(box=None, header_style="bold")
    for title in ("id", "name", "scopes", "workspaces", "made", "works until"):
        table.add_column(title)
    for token in found:
        table.add_row(*_row(token))
    print_table(table)


@tokens.command("revoke")
@click.argument("token_id")
@click.option("--json", "as_json", is_flag=True, help="Machine-readable.")
def revoke(token_id: str, as_json: bool) -> None:
    """Have a token work no more."""
    with Coordinator() as coordinator:
        coordinator.delete(f"{_PATH}/{token_id}")
    click.echo(json.dumps({"id": token_id, "revoked": True}) if as_json else f"{token_id} works no more")


def _row(token: dict[str, Any]) -> tuple[str, ...]:
    limits = ", ".join(token["workspaces"]) if token["workspaces"] is not None else "all"
    ends = token["expires_at"] or "no end"
    return token["id"], token["name"], ", ".join(token["scopes"]), limits, token["created_at"], ends
