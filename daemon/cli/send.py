"""`blazz send`: one message, with a plain answer to "did it go out?"."""

import mimetypes
import re
import shlex
import sys
import uuid
from pathlib import Path
from typing import Any

import click

from daemon.cli.answers import CoordinatorUnavailableError, RefusedError
from daemon.cli.client import Coordinator
from daemon.cli.failing import problem_of, report
from daemon.cli.options import AS_JSON
from daemon.cli.printing import print_json, print_line
from daemon.core.errors import UnavailableError
from daemon.core.exit_codes import ExitCode

_PATH = "/api/whatsapp/send"
_KINDS = ("image", "video", "audio", "voice", "document")
_KEY = re.compile(r"[\x21-\x7e]{1,255}")


def _usable_key(_ctx: click.Context, _param: click.Parameter, given: str | None) -> str | None:
    """Refuse an empty key, too: it comes of a variable that is not set, and a new key would send a second time."""
    if given is not None and not _KEY.fullmatch(given):
        raise click.BadParameter("a key is 1 to 255 visible ASCII characters")
    return given


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
@click.option(
    "--key", callback=_usable_key, help="Idempotency-Key: the same key never sends twice. A new one by default."
)
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
    chosen = str(uuid.uuid4()) if key is None else key
    try:
        with Coordinator() as coordinator:
            sent = _sent(coordinator, body, file, chosen)
    except (RefusedError, UnavailableError) as error:
        raise SystemExit(_failed(error, chosen, fresh=key is None, as_json=as_json)) from None
    except KeyboardInterrupt:
        print_line(f"blazz: {_unknown(chosen)}", err=True)
        raise
    before = " before" if sent["replayed"] else ""
    if as_json:
        print_json(sent | {"key": chosen})
    else:
        print_line(f"sent{before}: {sent['message_id']}")


def _sent(coordinator: Coordinator, body: dict[str, Any], file: Path | None, key: str) -> dict[str, Any]:
    headers = {"Idempotency-Key": key}
    if file is None:
        return coordinator.post(_PATH, body, headers=headers)
    mimetype = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
    with file.open("rb") as content:
        return coordinator.post_file(f"{_PATH}/file", body, (file.name, content, mimetype), headers=headers)


def _failed(error: RefusedError | UnavailableError, key: str, *, fresh: bool, as_json: bool) -> ExitCode:
    """Say what is known, and how to go on when nobody knows; return the exit code."""
    outcome = _outcome(error, fresh=fresh)
    unknown = outcome == "unknown"
    if as_json:
        told = problem_of(error) | {"outcome": outcome, "key": key} | ({"hint": _unknown(key)} if unknown else {})
        print_json(told)
        print_json(told, err=True)
    else:
        report(error)
        print_line(f"blazz: {_unknown(key) if unknown else 'certainly not sent'}", err=True)
    return ExitCode.UNKNOWN if unknown else error.exit_code


def _unknown(key: str) -> str:
    return f"it may have been sent; the same command with {shlex.join(['--key', key])} cannot send it twice"


def _outcome(error: RefusedError | UnavailableError, *, fresh: bool) -> str:
    """Return `not_sent` or `unknown`.

    A `fresh` key was never used before, which the coordinator cannot know of a request that it refuses.
    """
    if isinstance(error, CoordinatorUnavailableError):
        return "unknown" if error.reached or not fresh else "not_sent"
    if not isinstance(error, RefusedError):
        return "unknown"
    return "not_sent" if fresh and error.tried_nothing else str(error.problem.get("outcome", "unknown"))


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
