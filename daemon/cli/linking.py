"""`blazz sessions create|qr|pairing-code`: making a session and linking it to a phone."""

import io
import os
import stat
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import click
import segno

from daemon.cli.answers import RefusedError
from daemon.cli.client import Coordinator
from daemon.cli.following import passes_in_s
from daemon.cli.options import AS_JSON, TIMEOUT
from daemon.cli.printing import print_json, print_line
from daemon.cli.session_said import SESSIONS_PATH, say, session_path, state_of
from daemon.core.errors import BlazzError, CodeNotAvailableError, InvalidInputError
from daemon.core.exit_codes import ExitCode

_LOOK_INTERVAL_S = 1.0
_ENDED = frozenset({"stopped", "failed", "disconnected", "conflict"})
"""Nothing more comes of these without somebody's doing."""


@click.command()
@click.option("--workspace", "workspace_id", required=True, help="Workspace of the session.")
@click.option("--user", "user_id", required=True, help="User of the session.")
@click.option("--id", "session_id", help="Default session-USER-WORKSPACE.")
@click.option("--phone", help="The number expected to link.")
@click.option("--qr", "show_qr", is_flag=True, help="Draw the QR code and wait until it is scanned.")
@click.option("--timeout", "timeout_s", type=click.FloatRange(min=0), help="With --qr: for so many seconds only.")
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
    code: int = ExitCode.OK
    with Coordinator() as coordinator:
        made = coordinator.post(SESSIONS_PATH, {name: value for name, value in body.items() if value is not None})
        if show_qr:
            found, code = _scanned(coordinator, made, timeout_s, _draw)
            made |= found
    say(made, "made" if made["created"] else "is there", as_json)
    raise SystemExit(code)


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
            show = partial(_write, png) if png is not None else _draw
            found, code = _scanned(coordinator, coordinator.get(session_path(session_id)), timeout_s, show)
            if as_json or code == ExitCode.OK:
                say(found, "connected", as_json)
            raise SystemExit(code)
        told = coordinator.get(session_path(session_id, "qr"))
    if png is not None:
        _write(png, told["text"])
    if as_json:
        print_json(told)
    elif png is None:
        click.echo(_drawn(told["text"]))


@click.command("pairing-code")
@click.argument("session_id")
@click.argument("phone")
@AS_JSON
def pairing_code(session_id: str, phone: str, as_json: bool) -> None:
    """Get a code that the phone types instead of scanning."""
    with Coordinator() as coordinator:
        found = coordinator.post(session_path(session_id, "pairing-code"), {"phone": phone})
    if as_json:
        print_json(found)
    else:
        print_line(found["code"])


def _drawn(text: str) -> str:
    """Return a QR code as text for a terminal, two modules a character."""
    out = io.StringIO()
    segno.make_qr(text, error="l", boost_error=False).terminal(out, compact=True)
    return out.getvalue().rstrip("\n")


def _draw(text: str) -> None:
    click.echo(_drawn(text), err=True)


def _write(png: Path, text: str) -> None:
    """Write a QR code as a picture that only its owner may read, because whoever scans it is linked.

    Raises:
        InvalidInputError: it cannot be written there.
    """
    picture = io.BytesIO()
    segno.make_qr(text, error="l", boost_error=False).save(picture, kind="png", scale=8)
    try:
        with open(png, "wb", opener=_private) as file:
            file.write(picture.getvalue())
    except OSError as error:
        raise InvalidInputError(f"the picture cannot be written: {error.strerror}", path=png) from None
    print_line(f"written to {png}", err=True)


def _private(path: str, flags: int) -> int:
    handle = os.open(path, flags, 0o600)
    if stat.S_ISREG(os.fstat(handle).st_mode):
        os.fchmod(handle, 0o600)  # of one that was there
    return handle


def _scanned(
    coordinator: Coordinator, session: dict[str, Any], timeout_s: float | None, show: Callable[[str], None]
) -> tuple[dict[str, Any], int]:
    """Show each new code until the session is connected; return it as it was seen last, and the exit code."""
    deadline = time.monotonic() + timeout_s if timeout_s is not None else float("inf")
    linking = _Linking(coordinator, session, show)
    while True:
        pause_s = linking.look()
        status = linking.session["status"]
        if status == "connected":
            return linking.session, ExitCode.OK
        if status in _ENDED:
            return linking.session, 1
        if time.monotonic() > deadline:
            print_line(f"{session['session_id']} is {status}, not connected in {timeout_s:g} s", err=True)
            return linking.session, ExitCode.TEMPORARY
        time.sleep(min(pause_s, max(0.0, deadline - time.monotonic())))


class _Linking:
    """A session on its way to a phone, as it was seen last. Tells each new status on standard error."""

    def __init__(self, coordinator: Coordinator, session: dict[str, Any], show: Callable[[str], None]) -> None:
        self.session = session
        self._coordinator = coordinator
        self._path = session_path(session["session_id"])
        self._show = show
        self._shown = self._told = ""

    def look(self) -> float:
        """Look, show a new code, and return in how many seconds to look again; what passes by itself is waited for."""
        try:
            self.session = self._coordinator.get(self._path)
            self._tell(state_of(self.session))
            if self.session["status"] == "qr":
                self._show_new_code()
        except BlazzError as error:
            pause_s = passes_in_s(error)
            if pause_s is None:
                raise
            self._tell(f"{error.message} ({error.code})")
            return pause_s
        return _LOOK_INTERVAL_S

    def _show_new_code(self) -> None:
        try:
            text = self._coordinator.get(f"{self._path}/qr")["text"]
        except RefusedError as error:
            if error.code != CodeNotAvailableError.code:
                raise
            return  # between two codes
        if text != self._shown:
            self._shown = text
            self._show(text)

    def _tell(self, line: str) -> None:
        if line != self._told:
            self._told = line
            print_line(line, err=True)
