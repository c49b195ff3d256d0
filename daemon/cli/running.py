"""`blazz sessions start|stop|restart`: for any number of sessions at once, followed to the end if that is wished."""

import json
from collections.abc import Sequence
from typing import Any

import click

from daemon.cli.client import Coordinator
from daemon.cli.following import NotFinishedError, Step, follow
from daemon.cli.options import AS_JSON, TIMEOUT
from daemon.cli.session_said import SESSIONS_PATH
from daemon.core.exit_codes import ExitCode

_WAIT = click.option("--wait", is_flag=True, help="Follow it to the end.")
_UP = frozenset({"connected"})
_SETTLED = frozenset({"connected", "qr", "pairing", "disconnected", "conflict"})
_DOWN = frozenset({"stopped"})


@click.command()
@click.argument("session_ids", nargs=-1, required=True)
@_WAIT
@TIMEOUT
@AS_JSON
def start(session_ids: tuple[str, ...], wait: bool, timeout_s: float | None, as_json: bool) -> None:
    """Have sessions run. Ends with 1 when some are not connected."""
    _do("start", session_ids, _SETTLED, _UP, wait=wait, timeout_s=timeout_s, as_json=as_json)


@click.command()
@click.argument("session_ids", nargs=-1, required=True)
@_WAIT
@TIMEOUT
@AS_JSON
def stop(session_ids: tuple[str, ...], wait: bool, timeout_s: float | None, as_json: bool) -> None:
    """Stop sessions, each with a last backup."""
    _do("stop", session_ids, _DOWN, _DOWN, wait=wait, timeout_s=timeout_s, as_json=as_json)


@click.command()
@click.argument("session_ids", nargs=-1, required=True)
@_WAIT
@TIMEOUT
@AS_JSON
def restart(session_ids: tuple[str, ...], wait: bool, timeout_s: float | None, as_json: bool) -> None:
    """Stop sessions with a last backup and start them again."""
    _do("restart", session_ids, _SETTLED, _UP, wait=wait, timeout_s=timeout_s, as_json=as_json)


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
        before = {one: coordinator.get(f"{SESSIONS_PATH}/{one}") for one in session_ids}
        found = {one: coordinator.post(f"{SESSIONS_PATH}/{one}/{action}") for one in session_ids}
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
                found[session_id] = coordinator.get(f"{SESSIONS_PATH}/{session_id}")
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
