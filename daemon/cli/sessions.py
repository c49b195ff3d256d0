"""`blazz sessions`: the group of all that is done to sessions; lists, shows, logs out and deletes them itself."""

from collections.abc import Iterator
from typing import Any

import click

from daemon.cli.archives import archives, backup, restore, rollback
from daemon.cli.client import Coordinator
from daemon.cli.linking import create, pairing_code, qr
from daemon.cli.listing import listed
from daemon.cli.options import AS_JSON, YES
from daemon.cli.printing import print_json, print_line, print_table
from daemon.cli.running import restart, start, stop
from daemon.cli.session_said import ask, say, session_path

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
        found = list(listed(coordinator, {name: value for name, value in given.items() if value}, limit))
    if as_json:
        print_json({"sessions": found})
        return
    print_table(("session", "status", "reason", "phone", "workspace", "user", "shard", "backed up"), map(_row, found))


@sessions.command()
@click.argument("session_id")
@AS_JSON
def show(session_id: str, as_json: bool) -> None:
    """Show one session."""
    with Coordinator() as coordinator:
        found = coordinator.get(session_path(session_id))
    if as_json:
        print_json(found)
        return
    for key, value in _flat(found):
        print_line(f"{key:<24} {value}")


@sessions.command()
@click.argument("session_id")
@YES
@AS_JSON
def logout(session_id: str, yes: bool, as_json: bool) -> None:
    """Unlink the device at WhatsApp. Its backups are void from then on."""
    ask(f"log {session_id} out? A phone must scan again", yes)
    with Coordinator() as coordinator:
        found = coordinator.post(session_path(session_id, "logout"))
    say(found, "logged out", as_json)


@sessions.command()
@click.argument("session_id")
@YES
@AS_JSON
def delete(session_id: str, yes: bool, as_json: bool) -> None:
    """Remove a session; its archives are kept for a grace period."""
    ask(f"delete {session_id}?", yes)
    with Coordinator() as coordinator:
        coordinator.delete(session_path(session_id))
    if as_json:
        print_json({"session_id": session_id, "deleted": True})
    else:
        print_line(f"{session_id} is being deleted")


def _row(one: dict[str, Any]) -> list[str]:
    told = (one["session_id"], one["status"], one["reason"], one["phone"], one["workspace_id"], one["user_id"],
            one["runs_on"] or one["shard"], one["last_backup_at"])  # fmt: skip
    return [value or "" for value in told]


def _flat(found: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in found.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}.")
        elif value is not None:
            yield f"{prefix}{key}", value
