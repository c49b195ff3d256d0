"""What the commands about one session share: where the API has sessions, the question before, the line after."""

from typing import Any

import click

from daemon.cli.client import below
from daemon.cli.printing import print_json, print_line
from daemon.core.printable import printable

SESSIONS_PATH = "/api/whatsapp/sessions"


def session_path(session_id: str, *more: str) -> str:
    """Return where the API has a session, or something of it."""
    return below(SESSIONS_PATH, session_id, *more)


def ask(question: str, yes: bool) -> None:
    """Have the operator confirm, unless he has said yes already."""
    if not yes:
        click.confirm(printable(question), abort=True, err=True)


def say(session: dict[str, Any], what: str, as_json: bool) -> None:
    """Print a session as the API answered it, as a line or as JSON."""
    if as_json:
        print_json(session)
    else:
        print_line(f"{session['session_id']} {what} ({session['status']})")


def state_of(session: dict[str, Any]) -> str:
    """Say which state a session is in, and why."""
    return f"{session['session_id']} is {session['status']}" + (f": {session['reason']}" if session["reason"] else "")
