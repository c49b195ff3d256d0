"""`blazz events`: what happens, as it happens."""

import json
import time
from collections.abc import Iterator
from typing import Any

import click

from daemon.cli.client import Coordinator, CoordinatorUnavailableError, RefusedError
from daemon.core.exit_codes import ExitCode

_PATH = "/api/whatsapp/events"
_RETRY_S = 1.0
_PRIVATE = frozenset({"message", "message_edited", "message_reaction", "qr", "pairing_code"})


@click.command()
@click.option("--follow", is_flag=True, help="Go on for ever; without it, what is known is printed.")
@click.option("--since", help="Behind this event's id; 0 is the beginning. With --follow, from now on by default.")
@click.option("--session", "session_ids", multiple=True, help="Only of this session; may be repeated.")
@click.option("--workspace", "workspace_ids", multiple=True, help="Only of this workspace; may be repeated.")
@click.option("--event", "kinds", multiple=True, help="Only of this kind; may be repeated.")
@click.option("--bodies", is_flag=True, help="Print what people wrote and codes, too.")
@click.option("--json", "as_json", is_flag=True, help="Print each event as one line of JSON.")
def events(
    follow: bool,
    since: str | None,
    session_ids: tuple[str, ...],
    workspace_ids: tuple[str, ...],
    kinds: tuple[str, ...],
    bodies: bool,
    as_json: bool,
) -> None:
    """Print events: those that are kept, or with --follow those that come. A broken connection is resumed."""
    asked = [("session_id", one) for one in session_ids] + [("workspace_id", one) for one in workspace_ids]
    asked += [("event", one) for one in kinds]
    at = since or (None if follow else "0")
    with Coordinator() as coordinator:
        for frame in _frames(coordinator, asked, at, follow=follow):
            _print(frame, bodies=bodies, as_json=as_json)


def _frames(
    coordinator: Coordinator, asked: list[tuple[str, str]], at: str | None, *, follow: bool
) -> Iterator[dict[str, Any]]:
    opened: list[str] = []
    while True:
        params = asked + ([("last_event_id", at)] if at is not None else [])
        try:
            for frame in coordinator.stream(_PATH, params, idle_s=None if follow else 1.5, opened=opened):
                at = frame.get("id", at)
                yield frame
            if not follow:
                return
        except CoordinatorUnavailableError:
            if not opened:
                raise
        except RefusedError as error:
            if not opened or error.exit_code not in {ExitCode.UNAVAILABLE, ExitCode.TEMPORARY}:
                raise
        click.echo("blazz: the connection broke off and is resumed", err=True)
        time.sleep(_RETRY_S)


def _print(frame: dict[str, Any], *, bodies: bool, as_json: bool) -> None:
    if frame["event"] == "gap":
        click.echo("blazz: older events are gone", err=True)
        return
    told = json.loads(frame["data"])
    if told["event"] in _PRIVATE and not bodies:
        told["data"] = {name: "..." if name in _HIDDEN else value for name, value in told["data"].items()}
    if as_json:
        click.echo(json.dumps({"entry_id": frame["id"], **told}))
        return
    facts = " ".join(f"{name}={value}" for name, value in told["data"].items() if value not in (None, "", []))
    click.echo(f"{told['timestamp']} {told['event']:<18} {told['session_id'] or '-'} {facts}")


_HIDDEN = frozenset({"body", "qr", "code", "emoji", "location", "contacts", "filename"})
