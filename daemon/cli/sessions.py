"""`blazz sessions`: the group of all that is done to sessions; lists, shows, logs out and deletes them itself."""

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import click
from rich.table import Table

from daemon.cli.archives import archives, backup, restore, rollback
from daemon.cli.client import Coordinator
from daemon.cli.linking import create, pairing_code, qr
from daemon.cli.options import AS_JSON, YES
from daemon.cli.running import restart, start, stop
from daemon.cli.session_said import SESSIONS_PATH, ask, say
from daemon.cli.tables import print_table

_PAGE = 500
_STATES = ("pending", "starting", "qr", "pairing", "syncing", "connected", "disconnected", "stopping", "stopped",
           "failed", "conflict")  # fmt: skip


@click.group()
def sessions() -> None:
    """List, make, look at, start, stop and end sessions."""


sessions.add_command(create)
sessions.add_command(qr)
sessions.add_command(pairing_code)
sessions.add_command(start)
sessions.add_command(stop)
sessions.add_command(restart)
sessions.add_command(backup)
sessions.add_command(archives)
sessions.add_command(rollback)
sessions.add_command(restore)


@sessions.command("list")
@click.option("--status", type=click.Choice(_STATES), help="Only of this status.")
@click.option("--workspace", "workspace_id", help="Only of this workspace.")
@click.option("--shard", help="Only on this shard.")
@click.option("--limit", type=click.IntRange(min=1), help="Most to list; all by default.")
@AS_JSON
def list_all(status: str | None, workspace_id: str | None, shard: str | None, limit: int | None, as_json: bool) -> None:
    """List sessions in the order of their ids."""
    given = {"status": status, "workspace_id": workspace_id, "shard": shard}
    with Coordinator() as coordinator:
        found = list(_listed(coordinator, {name: value for name, value in given.items() if value}, limit))
    if as_json:
        click.echo(json.dumps({"sessions": found}))
        return
    table = Table("session", "status", "reason", "phone", "workspace", "user", "shard", "backed up", box=None)
    for one in found:
        table.add_row(
            one["session_id"], one["status"], one["reason"] or "", one["phone"] or "", one["workspace_id"],
            one["user_id"], one["runs_on"] or one["shard"] or "", one["last_backup_at"] or "",
        )  # fmt: skip
    print_table(table)


@sessions.command()
@click.argument("session_id")
@AS_JSON
def show(session_id: str, as_json: bool) -> None:
    """Show one session."""
    with Coordinator() as coordinator:
        found = coordinator.get(f"{SESSIONS_PATH}/{session_id}")
    if as_json:
        click.echo(json.dumps(found))
        return
    for key, value in _flat(found):
        click.echo(f"{key:<24} {value}")


@sessions.command()
@click.argument("session_id")
@YES
@AS_JSON
def logout(session_id: str, yes: bool, as_json: bool) -> None:
    """Unlink the device at WhatsApp. Its backups are void from then on."""
    ask(f"log {session_id} out? A phone must scan again", yes)
    with Coordinator() as coordinator:
        found = coordinator.post(f"{SESSIONS_PATH}/{session_id}/logout")
    say(found, "logged out", as_json)


@sessions.command()
@click.argument("session_id")
@YES
@AS_JSON
def delete(session_id: str, yes: bool, as_json: bool) -> None:
    """Remove a session; its archives are kept for a grace period."""
    ask(f"delete {session_id}?", yes)
    with Coordinator() as coordinator:
        coordinator.delete(f"{SESSIONS_PATH}/{session_id}")
    gone = {"session_id": session_id, "deleted": True}
    click.echo(json.dumps(gone) if as_json else f"{session_id} is being deleted")


def _listed(coordinator: Coordinator, given: dict[str, str], limit: int | None) -> Iterator[dict[str, Any]]:
    cursor, left = None, limit
    while left is None or left > 0:
        asked: dict[str, str | int] = {**given, "limit": min(_PAGE, left or _PAGE)}
        page = coordinator.get(f"{SESSIONS_PATH}?{urlencode(asked | ({'cursor': cursor} if cursor else {}))}")
        yield from page["sessions"]
        cursor = page["next_cursor"]
        left = None if left is None else left - len(page["sessions"])
        if cursor is None:
            return


def _flat(found: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in found.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}.")
        elif value is not None:
            yield f"{prefix}{key}", value
