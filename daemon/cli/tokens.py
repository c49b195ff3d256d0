"""`blazz tokens`: who may use the API, and for what."""

from typing import Any

import click

from daemon.cli.client import Coordinator, below
from daemon.cli.options import AS_JSON
from daemon.cli.printing import print_json, print_line, print_table

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
@AS_JSON
def create(name: str, scopes: tuple[str, ...], workspaces: tuple[str, ...], days: int | None, as_json: bool) -> None:
    """Make a token and print it. It is shown only now, as a hash of it is all that is kept."""
    body = {"name": name, "scopes": scopes, "workspaces": workspaces or None, "expires_in_days": days}
    with Coordinator() as coordinator:
        made = coordinator.post(_PATH, body)
    if as_json:
        print_json(made)
        return
    print_line(made["token"])
    print_line(f"made {made['id']} ({', '.join(made['scopes'])}); it is not shown again", err=True)


@tokens.command("list")
@AS_JSON
def list_tokens(as_json: bool) -> None:
    """List the tokens; API_TOKEN is not among them."""
    with Coordinator() as coordinator:
        found = coordinator.get(_PATH)["tokens"]
    if as_json:
        print_json(found)
    else:
        print_table(("id", "name", "scopes", "workspaces", "made", "works until"), map(_row, found))


@tokens.command("revoke")
@click.argument("token_id")
@AS_JSON
def revoke(token_id: str, as_json: bool) -> None:
    """Have a token work no more."""
    with Coordinator() as coordinator:
        coordinator.delete(below(_PATH, token_id))
    if as_json:
        print_json({"id": token_id, "revoked": True})
    else:
        print_line(f"{token_id} works no more")


def _row(token: dict[str, Any]) -> tuple[str, ...]:
    limits = ", ".join(token["workspaces"]) if token["workspaces"] is not None else "all"
    ends = token["expires_at"] or "no end"
    return token["id"], token["name"], ", ".join(token["scopes"]), limits, token["created_at"], ends
