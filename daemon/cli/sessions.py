"""`blazz sessions`: everything that can be asked about and done to sessions."""

import io
import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import click
import segno
from rich.table import Table

from daemon.cli.client import Coordinator, RefusedError
from daemon.cli.following import NotFinishedError, Step, follow
from daemon.cli.tables import print_table
from daemon.core.exit_codes import ExitCode

_PATH = "/api/whatsapp/sessions"
_PAGE = 500
_LOOK_INTERVAL_S = 1.0
_STATES = ("pending", "starting", "qr", "pairing", "syncing", "connected", "disconnected", "stopping", "stopped",
           "failed", "conflict")  # fmt: skip
_AS_JSON = click.option("--json", "as_json", is_flag=True, help="Print what the API says, as JSON.")
_WAIT = click.option("--wait", is_flag=True, help="Follow it to the end.")
_TIMEOUT = click.option(
    "--timeout", "timeout_s", type=click.FloatRange(min=0), help="With --wait: for so many seconds only."
)
_YES = click.option("--yes", is_flag=True, help="Do not ask.")
_UP = frozenset({"connected"})
_SETTLED = frozenset({"connected", "qr", "pairing", "disconnected", "conflict"})
_DOWN = frozenset({"stopped"})


@click.group()
def sessions() -> None:
    """List, make, look at, start, stop and end sessions."""


@sessions.command("list")
@click.option("--status", type=click.Choice(_STATES), help="Only of this status.")
@click.option("--workspace", "workspace_id", help="Only of this workspace.")
@click.option("--shard", help="Only on this shard.")
@click.option("--limit", type=click.IntRange(min=1), help="Most to list; all by default.")
@_AS_JSON
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
@click.option("--workspace", "workspace_id", required=True, help="Workspace of the session.")
@click.option("--user", "user_id", required=True, help="User of the session.")
@click.option("--id", "session_id", help="Default session-USER-WORKSPACE.")
@click.option("--phone", help="The number expected to link.")
@click.option("--qr", "show_qr", is_flag=True, help="Draw the QR code and wait until it is scanned.")
@_TIMEOUT
@_AS_JSON
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
        made = coordinator.post(_PATH, {name: value for name, value in body.items() if value is not None})
        if show_qr:
            made |= _scanned(coordinator, made["session_id"], timeout_s)
    _say(made, "made" if made["created"] else "is there", as_json)


@sessions.command()
@click.argument("session_id")
@_AS_JSON
def show(session_id: str, as_json: bool) -> None:
    """Show one session."""
    with Coordinator() as coordinator:
        found = coordinator.get(f"{_PATH}/{session_id}")
    if as_json:
        click.echo(json.dumps(found))
        return
    for key, value in _flat(found):
        click.echo(f"{key:<24} {value}")


@sessions.command()
@click.argument("session_id")
@click.option("--wait", is_flag=True, help="Draw each new code, until it is scanned and the session connected.")
@click.option("--png", type=click.Path(dir_okay=False, path_type=Path), help="Write it into this file instead.")
@_TIMEOUT
@_AS_JSON
def qr(session_id: str, wait: bool, png: Path | None, timeout_s: float | None, as_json: bool) -> None:
    """Draw the QR code that waits for a scan. Whoever scans it is linked: show it to nobody else."""
    with Coordinator() as coordinator:
        if wait:
            _say(_scanned(coordinator, session_id, timeout_s), "connected", as_json)
            return
        code = coordinator.get(f"{_PATH}/{session_id}/qr")
    if as_json:
        click.echo(json.dumps(code))
    elif png is not None:
        segno.make_qr(code["text"], error="l", boost_error=False).save(str(png), scale=8)
        click.echo(f"written to {png}")
    else:
        click.echo(drawn(code["text"]))


@sessions.command("pairing-code")
@click.argument("session_id")
@click.argument("phone")
@_AS_JSON
def pairing_code(session_id: str, phone: str, as_json: bool) -> None:
    """Get a code that the phone types instead of scanning."""
    with Coordinator() as coordinator:
        found = coordinator.post(f"{_PATH}/{session_id}/pairing-code", {"phone": phone})
    click.echo(json.dumps(found) if as_json else found["code"])


@sessions.command()
@click.argument("session_ids", nargs=-1, required=True)
@_WAIT
@_TIMEOUT
@_AS_JSON
def start(session_ids: tuple[str, ...], wait: bool, timeout_s: float | None, as_json: bool) -> None:
    """Have sessions run. Ends with 1 when some are not connected."""
    _do("start", session_ids, _SETTLED, _UP, wait=wait, timeout_s=timeout_s, as_json=as_json)


@sessions.command()
@click.argument("session_ids", nargs=-1, required=True)
@_WAIT
@_TIMEOUT
@_AS_JSON
def stop(session_ids: tuple[str, ...], wait: bool, timeout_s: float | None, as_json: bool) -> None:
    """Stop sessions, each with a last backup."""
    _do("stop", session_ids, _DOWN, _DOWN, wait=wait, timeout_s=timeout_s, as_json=as_json)


@sessions.command()
@click.argument("session_ids", nargs=-1, required=True)
@_WAIT
@_TIMEOUT
@_AS_JSON
def restart(session_ids: tuple[str, ...], wait: bool, timeout_s: float | None, as_json: bool) -> None:
    """Stop sessions with a last backup and start them again."""
    _do("restart", session_ids, _SETTLED, _UP, wait=wait, timeout_s=timeout_s, as_json=as_json)


@sessions.command()
@click.argument("session_id")
@_AS_JSON
def backup(session_id: str, as_json: bool) -> None:
    """Take a hot copy and an archive now."""
    with Coordinator() as coordinator:
        found = coordinator.post(f"{_PATH}/{session_id}/backup")
    _say(found, "backed up", as_json)


@sessions.command()
@click.argument("session_id")
@_AS_JSON
def archives(session_id: str, as_json: bool) -> None:
    """List what the bucket has of a session, newest first."""
    found: list[dict[str, Any]] = []
    cursor = ""
    with Coordinator() as coordinator:
        while True:
            page = coordinator.get(f"{_PATH}/{session_id}/archives?{urlencode({'limit': 100} | _given(cursor=cursor))}")
            found += page["archives"]
            cursor = page["next_cursor"]
            if cursor is None:
                break
    if as_json:
        click.echo(json.dumps({"hot_copy": page["hot_copy"], "archives": found}))
        return
    table = Table("generation", "token", "backed up", "bytes", "clean", "Chromium", "key", "", box=None)
    for one in found:
        state = "void" if one["void"] else "set aside" if one["set_aside"] else ""
        told = (one["generation"], one["token"], one["backed_up_at"], one["size_bytes"], one["clean"], one["chromium"],
                one["key_id"] or "", state)  # fmt: skip
        table.add_row(*("" if value is None else str(value) for value in told))
    print_table(table)


@sessions.command()
@click.argument("session_id")
@click.argument("generation", type=int)
@click.option("--token", type=int, help="Needed only if several archives have this generation.")
@_YES
@_AS_JSON
def rollback(session_id: str, generation: int, token: int | None, yes: bool, as_json: bool) -> None:
    """Stop a session with a last backup and begin it from an archive. Nothing newer is deleted."""
    _ask(f"begin {session_id} from generation {generation}, passing over everything newer?", yes)
    with Coordinator() as coordinator:
        body = {"generation": generation} | ({"token": token} if token is not None else {})
        found = coordinator.post(f"{_PATH}/{session_id}/rollback", body)
    _say(found, f"goes back to generation {generation}", as_json)


@sessions.command()
@click.argument("session_id")
@_AS_JSON
def restore(session_id: str, as_json: bool) -> None:
    """Have a session connected again; one that runs is left alone."""
    with Coordinator() as coordinator:
        found = coordinator.post(f"{_PATH}/{session_id}/restore")
    _say(found, "is restored", as_json)


@sessions.command()
@click.argument("session_id")
@_YES
@_AS_JSON
def logout(session_id: str, yes: bool, as_json: bool) -> None:
    """Unlink the device at WhatsApp. Its backups are void from then on."""
    _ask(f"log {session_id} out? A phone must scan again", yes)
    with Coordinator() as coordinator:
        found = coordinator.post(f"{_PATH}/{session_id}/logout")
    _say(found, "logged out", as_json)


@sessions.command()
@click.argument("session_id")
@_YES
@_AS_JSON
def delete(session_id: str, yes: bool, as_json: bool) -> None:
    """Remove a session; its archives are kept for a grace period."""
    _ask(f"delete {session_id}?", yes)
    with Coordinator() as coordinator:
        coordinator.delete(f"{_PATH}/{session_id}")
    gone = {"session_id": session_id, "deleted": True}
    click.echo(json.dumps(gone) if as_json else f"{session_id} is being deleted")


def drawn(text: str) -> str:
    """Return a QR code as text for a terminal, two modules a character."""
    out = io.StringIO()
    segno.make_qr(text, error="l", boost_error=False).terminal(out, compact=True)
    return out.getvalue().rstrip("\n")


def _given(**values: str) -> dict[str, str]:
    return {name: value for name, value in values.items() if value}


def _listed(coordinator: Coordinator, given: dict[str, str], limit: int | None) -> Iterator[dict[str, Any]]:
    cursor, left = None, limit
    while left is None or left > 0:
        asked: dict[str, str | int] = {**given, "limit": min(_PAGE, left or _PAGE)}
        page = coordinator.get(f"{_PATH}?{urlencode(asked | ({'cursor': cursor} if cursor else {}))}")
        yield from page["sessions"]
        cursor = page["next_cursor"]
        left = None if left is None else left - len(page["sessions"])
        if cursor is None:
            return


def _scanned(coordinator: Coordinator, session_id: str, timeout_s: float | None) -> dict[str, Any]:
    """Draw each new code on standard error until the session is connected; return the session."""
    deadline = time.monotonic() + timeout_s if timeout_s is not None else float("inf")
    shown = None
    while True:
        found = coordinator.get(f"{_PATH}/{session_id}")
        if found["status"] in {"connected", "syncing"}:
            return found
        if found["status"] == "qr":
            try:
                text = coordinator.get(f"{_PATH}/{session_id}/qr")["text"]
            except RefusedError:
                text = shown  # between two codes
            if text != shown:
                shown = text
                click.echo(drawn(text) if text else "", err=True)
        if time.monotonic() > deadline:
            click.echo(f"{session_id} is {found['status']}, not connected in {timeout_s:g} s", err=True)
            raise SystemExit(ExitCode.TEMPORARY)
        time.sleep(_LOOK_INTERVAL_S)


def _do(
    action: str,
    session_ids: Sequence[str],
    settled: frozenset[str],
    wanted: frozenset[str],
    *,
    wait: bool,
    timeout_s: float | None,
    as_json: bool,
) -> None:
    """Do something to each session, and follow all of them if that is wished."""
    with Coordinator() as coordinator:
        before = {one: coordinator.get(f"{_PATH}/{one}") for one in session_ids}
        found = {one: coordinator.post(f"{_PATH}/{one}/{action}") for one in session_ids}
        anew = {one: before[one]["token"] for one in session_ids} if action == "restart" else {}
        if wait:
            _follow(coordinator, action, found, settled, anew, timeout_s)
    if as_json:
        click.echo(json.dumps({"sessions": list(found.values())}))
    else:
        for one in found.values():
            click.echo(f"{one['session_id']} is {one['status']}" + (f": {one['reason']}" if one["reason"] else ""))
    if wait and any(one["status"] not in wanted for one in found.values()):
        raise SystemExit(1)


def _follow(
    coordinator: Coordinator,
    action: str,
    found: dict[str, dict[str, Any]],
    settled: frozenset[str],
    anew: dict[str, int],
    timeout_s: float | None,
) -> None:
    def done(one: dict[str, Any]) -> bool:
        return one["status"] in settled and one["token"] > anew.get(one["session_id"], -1)

    def look() -> Step:
        for session_id, seen in found.items():
            if not done(seen):
                found[session_id] = coordinator.get(f"{_PATH}/{session_id}")
        count = sum(done(one) for one in found.values())
        waits = next((f"{one['session_id']} is {one['status']}" for one in found.values() if not done(one)), "")
        return Step(done=count, total=len(found), note=waits, finished=count == len(found))

    try:
        follow(action, look, timeout_s=timeout_s)
    except NotFinishedError:
        click.echo(f"not all in {timeout_s:g} s; it goes on", err=True)
        raise SystemExit(ExitCode.TEMPORARY) from None
    except KeyboardInterrupt:
        click.echo("not followed any more; it goes on", err=True)
        raise SystemExit(130) from None


def _ask(question: str, yes: bool) -> None:
    if not yes:
        click.confirm(question, abort=True, err=True)


def _say(session: dict[str, Any], what: str, as_json: bool) -> None:
    click.echo(json.dumps(session) if as_json else f"{session['session_id']} {what} ({session['status']})")


def _flat(found: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in found.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}.")
        elif value is not None:
            yield f"{prefix}{key}", value
