"""`blazz events`: what happens, as it happens."""

import json
import time
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import click

from daemon.cli.answers import CoordinatorUnavailableError, RefusedError
from daemon.cli.client import Coordinator
from daemon.cli.following import passes_in_s
from daemon.cli.options import json_option
from daemon.cli.printing import print_json, print_line

_PATH = "/api/whatsapp/events"
_RETRY_S = 1.0
_IDLE_S = 1.5
_SKEW_S = 2.0
"""How far Redis' clock, which gives events their ids, may be ahead of the coordinator's."""
_PRIVATE = frozenset({"message", "message_edited", "message_reaction", "qr", "pairing_code"})


@click.command()
@click.option("--follow", is_flag=True, help="Go on for ever; without it, what is known is printed.")
@click.option("--since", help="Behind this event's id; 0 is the beginning. With --follow, from now on by default.")
@click.option("--session", "session_ids", multiple=True, help="Only of this session; may be repeated.")
@click.option("--workspace", "workspace_ids", multiple=True, help="Only of this workspace; may be repeated.")
@click.option("--event", "kinds", multiple=True, help="Only of this kind; may be repeated.")
@click.option("--bodies", is_flag=True, help="Print what people wrote and codes, too.")
@json_option("Print each event as one line of JSON.")
def events(
    follow: bool,
    since: str | None,
    session_ids: tuple[str, ...],
    workspace_ids: tuple[str, ...],
    kinds: tuple[str, ...],
    bodies: bool,
    as_json: bool,
) -> None:
    """Print events: those that are kept, or with --follow those that come; then a broken connection is resumed."""
    asked = [("session_id", one) for one in session_ids] + [("workspace_id", one) for one in workspace_ids]
    asked += [("event", one) for one in kinds]
    at = since or (None if follow else "0")
    with Coordinator() as coordinator:
        for frame in _frames(coordinator, asked, at, follow=follow):
            _print(frame, bodies=bodies, as_json=as_json)


def _frames(
    coordinator: Coordinator, asked: list[tuple[str, str]], at: str | None, *, follow: bool
) -> Iterator[dict[str, Any]]:
    opened: list[datetime] = []
    while True:
        params = asked + ([("last_event_id", at)] if at is not None else [])
        pause_s = _RETRY_S
        try:
            for frame in coordinator.stream(_PATH, params, idle_s=None if follow else _IDLE_S, opened=opened):
                if not follow and _came_behind(frame, opened[0]):
                    return
                at = frame.get("id", at)
                if "data" in frame:
                    yield frame
            if not follow:
                return
        except (CoordinatorUnavailableError, RefusedError) as error:
            passes_s = passes_in_s(error)
            if not opened or not follow or passes_s is None:
                raise
            pause_s = max(_RETRY_S, passes_s)
        print_line("blazz: the connection broke off and is resumed", err=True)
        time.sleep(pause_s)


def _came_behind(frame: dict[str, Any], begun: datetime) -> bool:
    """Whether an event came when the coordinator had begun to answer: on a busy fleet they never end."""
    came_ms = frame.get("id", "").partition("-")[0]
    return came_ms.isdecimal() and int(came_ms) / 1000 > begun.timestamp() + _SKEW_S


def _print(frame: dict[str, Any], *, bodies: bool, as_json: bool) -> None:
    if frame["event"] == "gap":
        print_line("blazz: older events are gone", err=True)
        return
    told = json.loads(frame["data"])
    if not bodies:
        hidden = _NAMES | _HIDDEN if told["event"] in _PRIVATE else _NAMES
        told["data"] = {name: "..." if name in hidden and value else value for name, value in told["data"].items()}
    if as_json:
        print_json({"entry_id": frame["id"], **told})
        return
    facts = " ".join(f"{name}={value}" for name, value in told["data"].items() if value not in (None, "", []))
    print_line(f"{told['timestamp']} {told['event']:<18} {told['session_id'] or '-'} {facts}")


_HIDDEN = frozenset({"body", "qr", "code", "emoji", "location", "contacts", "filename"})
_NAMES = frozenset({"notify_name", "pushname"})
"""What people call themselves, in whatever event."""
