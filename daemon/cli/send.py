"""`blazz send`: one message, with a plain answer to "did it go out?"."""

import json
import mimetypes
import shlex
import sys
import uuid
from pathlib import Path
from typing import Any

import click

from daemon.cli.client import Coordinator, CoordinatorUnavailableError, RefusedError
from daemon.cli.failing import report
from daemon.cli.options import AS_JSON
from daemon.core.exit_codes import ExitCode

_PATH = "/api/whatsapp/send"
_KINDS = ("image", "video", "audio", "voice", "document")


@click.command()
@click.argument("session_id")
@click.argument("to")
@click.argument("text", required=False)
@click.option("--file", "file", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Send a file.")
@click.option("--caption", default="", help="Of the file.")
@click.option("--kind", type=click.Choice(_KINDS), help="How WhatsApp shows the file; default by its name.")
@click.option("--location", metavar="LAT,LON", help="Send a place, as -23.55,-46.63.")
@click.option("--name", default="", help="Of the place.")
@click.option("--address", default="", help="Of the place.")
@click.option("--contact", metavar="NAME,PHONE", help="Send a contact card.")
@click.option("--react", nargs=2, metavar="MESSAGE_ID EMOJI", help='React to a message; "" takes it back.')
@click.option("--reply-to", help="Id of the message to quote.")
@click.option("--key", help="Idempotency-Key: the same key never sends twice. A new one by default.")
@AS_JSON
def send(
    session_id: str,
    to: str,
    text: str | None,
    file: Path | None,
    caption: str,
    kind: str | None,
    location: str | None,
    name: str,
    address: str,
    contact: str | None,
    react: tuple[str, str] | None,
    reply_to: str | None,
    key: str | None,
    as_json: bool,
) -> None:
    """Send TEXT ("-": standard input), a file, a place, a contact card or a reaction from SESSION_ID to TO."""
    if sum(one is not None for one in (text, file, location, contact, react)) != 1:
        raise click.UsageError("give exactly one of TEXT, --file, --location, --contact, --react")
    body: dict[str, Any] = {"session_id": session_id, "to": to}
    if reply_to is not None:
        body["reply_to"] = reply_to
    if text is not None:
        body["message"] = sys.stdin.read() if text == "-" else text
    elif location is not None:
        body["location"] = _place(location) | {"name": name, "address": address}
    elif contact is not None:
        body["contact"] = _card(contact)
    elif react is not None:
        body["reaction"] = {"message_id": react[0], "emoji": react[1]}
    elif caption or kind:
        body |= {"caption": caption} | ({"kind": kind} if kind else {})
    chosen = key or str(uuid.uuid4())
    try:
        with Coordinator() as coordinator:
            sent = _sent(coordinator, body, file, chosen)
    except (RefusedError, CoordinatorUnavailableError) as error:
        raise SystemExit(_failed(error, chosen, fresh=key is None, as_json=as_json)) from None
    before = " before" if sent["replayed"] else ""
    click.echo(json.dumps(sent | {"key": chosen}) if as_json else f"sent{before}: {sent['message_id']}")


def _sent(coordinator: Coordinator, body: dict[str, Any], file: Path | None, key: str) -> dict[str, Any]:
    headers = {"Idempotency-Key": key}
    if file is None:
        return coordinator.post(_PATH, body, headers=headers)
    mimetype = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
    with file.open("rb") as content:
        return coordinator.post_file(f"{_PATH}/file", body, (file.name, content, mimetype), headers=headers)


def _failed(error: RefusedError | CoordinatorUnavailableError, key: str, *, fresh: bool, as_json: bool) -> ExitCode:
    """Say what is known, and how to go on when nobody knows; return the exit code.

    A `fresh` key was never used before, which the coordinator cannot know of a request that it refuses.
    """
    outcome = error.problem.get("outcome", "unknown") if isinstance(error, RefusedError) else "unknown"
    if fresh and isinstance(error, RefusedError) and error.tried_nothing:
        outcome = "not_sent"
    code = report(error)
    if as_json:
        told = error.problem if isinstance(error, RefusedError) else {"code": error.code, "detail": error.message}
        click.echo(json.dumps({**told, "outcome": outcome, "key": key}))
    if outcome != "unknown":
        click.echo("blazz: certainly not sent", err=True)
        return code
    if isinstance(error, CoordinatorUnavailableError) and not error.reached:
        click.echo("blazz: certainly not sent: the coordinator was not reached", err=True)
        return code
    again = shlex.join(["--key", key])
    click.echo(f"blazz: it may have been sent; the same command with {again} cannot send it twice", err=True)
    return ExitCode.UNKNOWN


def _place(text: str) -> dict[str, float]:
    latitude, _, longitude = text.partition(",")
    try:
        return {"latitude": float(latitude), "longitude": float(longitude)}
    except ValueError:
        raise click.UsageError("--location is LAT,LON in degrees") from None


def _card(text: str) -> dict[str, str]:
    name, _, phone = text.rpartition(",")
    if not name or not phone:
        raise click.UsageError("--contact is NAME,PHONE")
    return {"name": name.strip(), "phone": phone.strip()}
