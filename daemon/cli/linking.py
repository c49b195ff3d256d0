"""`blazz sessions create|qr|pairing-code`: making a session and linking it to a phone."""

import io
import json
import time
from pathlib import Path
from typing import Any

import click
import segno

from daemon.cli.client import Coordinator, RefusedError
from daemon.cli.options import AS_JSON, TIMEOUT
from daemon.cli.session_said import SESSIONS_PATH, say
from daemon.core.exit_codes import ExitCode

_LOOK_INTERVAL_S = 1.0


@click.command()
@click.option("--workspace", "workspace_id", required=True, help="Workspace of the session.")
@click.option("--user", "user_id", required=True, help="User of the session.")
@click.option("--id", "session_id", help="Default session-USER-WORKSPACE.")
@click.option("--phone", help="The number expected to link.")
@click.option("--qr", "show_qr", is_flag=True, help="Draw the QR code and wait until it is scanned.")
@TIMEOUT
@AS_JSON
def create(
    workspace_id: str,
    user_id: str,
    session_id: str | None,
    phone: str | None,
    show_qr: bool,
    timeout_s: float | None,
    as_json: bool,
) -> None:
    """Make a session and start it, or say that it is there."""
    body = {"workspace_id": workspace_id, "user_id": user_id, "session_id": session_id, "phone": phone}
    with Coordinator() as coordinator:
        made = coordinator.post(SESSIONS_PATH, {name: value for name, value in body.items() if value is not None})
        if show_qr:
            made |= _scanned(coordinator, made["session_id"], timeout_s)
    say(made, "made" if made["created"] else "is there", as_json)


@click.command()
@click.argument("session_id")
@click.option("--wait", is_flag=True, help="Draw each new code, until it is scanned and the session connected.")
@click.option("--png", type=click.Path(dir_okay=False, path_type=Path), help="Write it into this file instead.")
@TIMEOUT
@AS_JSON
def qr(session_id: str, wait: bool, png: Path | None, timeout_s: float | None, as_json: bool) -> None:
    """Draw the QR code that waits for a scan. Whoever scans it is linked: show it to nobody else."""
    with Coordinator() as coordinator:
        if wait:
            say(_scanned(coordinator, session_id, timeout_s), "connected", as_json)
            return
        code = coordinator.get(f"{SESSIONS_PATH}/{session_id}/qr")
    if as_json:
        click.echo(json.dumps(code))
    elif png is not None:
        segno.make_qr(code["text"], error="l", boost_error=False).save(str(png), scale=8)
        click.echo(f"written to {png}")
    else:
        click.echo(_drawn(code["text"]))


@click.command("pairing-code")
@click.argument("session_id")
@click.argument("phone")
@AS_JSON
def pairing_code(session_id: str, phone: str, as_json: bool) -> None:
    """Get a code that the phone types instead of scanning."""
    with Coordinator() as coordinator:
        found = coordinator.post(f"{SESSIONS_PATH}/{session_id}/pairing-code", {"phone": phone})
    click.echo(json.dumps(found) if as_json else found["code"])


def _drawn(text: str) -> str:
    """Return a QR code as text for a terminal, two modules a character."""
    out = io.StringIO()
    segno.make_qr(text, error="l", boost_error=False).terminal(out, compact=True)
    return out.getvalue().rstrip("\n")


def _scanned(coordinator: Coordinator, session_id: str, timeout_s: float | None) -> dict[str, Any]:
    """Draw each new code on standard error until the session is connected; return the session."""
    deadline = time.monotonic() + timeout_s if timeout_s is not None else float("inf")
    shown = None
    while True:
        found = coordinator.get(f"{SESSIONS_PATH}/{session_id}")
        if found["status"] in {"connected", "syncing"}:
            return found
        if found["status"] == "qr":
            try:
                text = coordinator.get(f"{SESSIONS_PATH}/{session_id}/qr")["text"]
            except RefusedError:
                text = shown  # between two codes
            if text != shown:
                shown = text
                click.echo(_drawn(text) if text else "", err=True)
        if time.monotonic() > deadline:
            click.echo(f"{session_id} is {found['status']}, not connected in {timeout_s:g} s", err=True)
            raise SystemExit(ExitCode.TEMPORARY)
        time.sleep(_LOOK_INTERVAL_S)
