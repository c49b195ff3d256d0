"""`blazz sessions start|stop|restart`: for any number of sessions at once, followed to the end if that is wished."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import click

from daemon.cli.client import Coordinator
from daemon.cli.following import NotFinishedError, Step, follow, unhurried
from daemon.cli.listing import pages
from daemon.cli.options import AS_JSON, TIMEOUT
from daemon.cli.printing import print_json, print_line
from daemon.cli.session_said import session_path, state_of
from daemon.core.exit_codes import ExitCode

_WAIT = click.option("--wait", is_flag=True, help="Follow it to the end.")
_UP = frozenset({"connected"})
_SETTLED = frozenset({"connected", "qr", "pairing", "disconnected", "conflict"})
_DOWN = frozenset({"stopped"})
_FEW = 10
"""So many sessions are looked at one by one: a page of the list holds 500 whole sessions."""


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
        # All of them before any is touched: an id that does not exist must not end it half-way.
        before = _seen(coordinator, session_ids).sessions
        found = {one: unhurried(partial(coordinator.post, session_path(one, action))) for one in before}
        anew = {one: seen["token"] for one, seen in before.items()} if action == "restart" else {}
        code = _follow(coordinator, action, found, settled, anew, timeout_s) if wait else ExitCode.OK
    if as_json:
        print_json({"sessions": list(found.values())})
    else:
        for one in found.values():
            print_line(state_of(one))
    if wait and code is ExitCode.OK and any(one["status"] not in wanted for one in found.values()):
        raise SystemExit(1)
    raise SystemExit(code)


def _follow(
    coordinator: Coordinator,
    action: str,
    found: dict[str, dict[str, Any]],
    settled: frozenset[str],
    anew: dict[str, int],
    timeout_s: float | None,
) -> ExitCode:
    """Bring `found` up to date until all are settled; return how that ended."""

    def done(one: dict[str, Any]) -> bool:
        return one["status"] in settled and one["token"] > anew.get(one["session_id"], -1)

    def look() -> Step:
        seen = _seen(coordinator, [session_id for session_id, one in found.items() if not done(one)])
        found.update(seen.sessions)
        count = sum(done(one) for one in found.values())
        waits = next((f"{one['session_id']} is {one['status']}" for one in found.values() if not done(one)), "")
        finished = count == len(found)
        return Step(done=count, total=len(found), note=waits, finished=finished, requests=seen.requests)

    try:
        follow(action, look, timeout_s=timeout_s)
    except NotFinishedError:
        print_line(f"not all in {timeout_s:g} s; it goes on", err=True)
        return ExitCode.TEMPORARY
    except KeyboardInterrupt:
        print_line("not followed any more; it goes on", err=True)
        return ExitCode.INTERRUPTED
    return ExitCode.OK


@dataclass(frozen=True, kw_only=True)
class _Seen:
    """Sessions by id, and how many requests it took to see them."""

    sessions: dict[str, dict[str, Any]]
    requests: int


def _seen(coordinator: Coordinator, session_ids: Sequence[str]) -> _Seen:
    """Look at sessions: one by one, or in the list of all where that takes fewer requests.

    Raises:
        RefusedError: one is not there.
    """
    wanted = dict.fromkeys(session_ids)
    sessions: dict[str, dict[str, Any]] = {}
    requests = 0
    for page in pages(coordinator, {}) if len(wanted) > _FEW else ():
        sessions |= {one["session_id"]: one for one in page if one["session_id"] in wanted}
        requests += 1
        if len(sessions) == len(wanted) or requests >= len(wanted):
            break
    left = [one for one in wanted if one not in sessions]
    sessions |= {one: unhurried(partial(coordinator.get, session_path(one))) for one in left}
    return _Seen(sessions={one: sessions[one] for one in wanted}, requests=requests + len(left))
