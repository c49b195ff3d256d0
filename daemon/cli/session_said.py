"""What the commands about one session share: where the API has sessions, the question before, the line after."""

import json
from typing import Any

import click

SESSIONS_PATH = "/api/whatsapp/sessions"


def ask(question: str, yes: bool) -> None:
    """Have the operator confirm, unless he has said yes already."""
    if not yes:
        click.confirm(question, abort=True, err=True)


def say(session: dict[str, Any], what: str, as_json: bool) -> None:
    """Print a session as the API answered it, as a line or as JSON."""
    click.echo(json.dumps(session) if as_json else f"{session['session_id']} {what} ({session['status']})")
