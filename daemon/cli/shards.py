"""`blazz shards`: which shards there are, and emptying one, followed to the end."""

import time
from typing import Any

import click

from daemon.cli.client import Coordinator, below
from daemon.cli.following import NotFinishedError, Step, follow
from daemon.cli.options import AS_JSON
from daemon.cli.printing import print_json, print_line, print_table
from daemon.core.exit_codes import ExitCode

_PATH = "/api/whatsapp/shards"
_REASONS = {
    "no_open_shard": "no other shard takes sessions",
    "shards_full": "the other shards are full",
    "unsaved_state": "the newest state of a session is on this shard's disk only, until the object store takes it",
}


@click.group()
def shards() -> None:
    """Look at shards, and empty one before its host is taken away."""


@shards.command("list")
@AS_JSON
def list_all(as_json: bool) -> None:
    """List all shards."""
    with Coordinator() as coordinator:
        answer = coordinator.get(_PATH)
    if as_json:
        print_json(answer)
        return
    titles = ("shard", "state", "host", "sessions", "starting", "waiting", "lag", "cpu", "memory", "drain")
    print_table(titles, map(_row, answer["shards"]))


@shards.command()
@click.argument("name")
@AS_JSON
def show(name: str, as_json: bool) -> None:
    """Show one shard."""
    with Coordinator() as coordinator:
        shard = coordinator.get(below(_PATH, name))
    if as_json:
        print_json(shard)
        return
    flat = {key: value for key, value in shard.items() if not isinstance(value, dict)}
    for group in ("last_exit", "drain"):
        flat |= {f"{group}.{key}": value for key, value in (shard[group] or {}).items()}
    for key, value in flat.items():
        if value is not None:
            print_line(f"{key:<22} {value}")


@shards.command()
@click.argument("name")
@click.option("--no-wait", is_flag=True, help="Ask for it and do not follow it.")
@click.option("--timeout", "timeout_s", type=click.FloatRange(min=0), help="Follow it for so many seconds only.")
@AS_JSON
def drain(name: str, no_wait: bool, timeout_s: float | None, as_json: bool) -> None:
    """Give a shard's sessions to the others, each with a last backup, and place nothing on it until undrain."""
    with Coordinator() as coordinator:
        shard = coordinator.post(below(_PATH, name, "drain"))
        code: int = ExitCode.OK
        if not no_wait:
            shard, code = _followed(coordinator, shard, timeout_s)
    if as_json:
        print_json(shard)
    elif code == ExitCode.OK:
        print_line(f"{name} is being drained" if no_wait else f"{name} is drained: nothing is placed on it")
    raise SystemExit(code)


@shards.command()
@click.argument("name")
@AS_JSON
def undrain(name: str, as_json: bool) -> None:
    """Have a shard take sessions again."""
    with Coordinator() as coordinator:
        shard = coordinator.post(below(_PATH, name, "undrain"))
    if as_json:
        print_json(shard)
    else:
        print_line(f"{name} takes sessions again; those that it gave away stay")


class _DrainEndedError(Exception):
    """Somebody has ended the drain."""


def _followed(coordinator: Coordinator, shard: dict[str, Any], timeout_s: float | None) -> tuple[dict[str, Any], int]:
    """Return the shard as it was seen last, and the exit code."""
    name, began_mono_s, seen = shard["name"], time.monotonic(), shard
    first: int | None = None

    def look() -> Step:
        nonlocal seen, first
        seen = coordinator.get(below(_PATH, name))
        drain = seen["drain"]
        if drain is None:
            raise _DrainEndedError
        if drain["left"] is None:
            return Step(done=0, total=drain["total"], note="waiting for the leading coordinator", finished=False)
        todo = drain["left"] + drain["moving"]
        first = todo if first is None else first
        total = max(drain["total"], todo)
        note = _note(drain, handed_over=first - todo, seconds=time.monotonic() - began_mono_s)
        return Step(done=total - todo, total=total, note=note, finished=todo == 0)

    try:
        follow(f"draining {name}", look, timeout_s=timeout_s)
    except NotFinishedError:
        blocked = _REASONS.get((seen["drain"] or {}).get("blocked_reason") or "", "")
        print_line(f"not drained in {timeout_s:g} s{blocked and ': '}{blocked}; it goes on", err=True)
        return seen, ExitCode.TEMPORARY
    except _DrainEndedError:
        print_line(f"somebody has ended the drain of {name}", err=True)
        return seen, 1
    except KeyboardInterrupt:
        print_line(f"not followed any more; the drain goes on, `blazz shards undrain {name}` ends it", err=True)
        return seen, ExitCode.INTERRUPTED
    return seen, ExitCode.OK


def _note(drain: dict[str, Any], *, handed_over: int, seconds: float) -> str:
    if drain["blocked_reason"]:
        return f"blocked: {_REASONS.get(drain['blocked_reason'], drain['blocked_reason'])}"
    if handed_over <= 0 or seconds <= 0:
        return f"{drain['moving']} moving"
    rate = handed_over / seconds
    left_s = (drain["left"] + drain["moving"]) / rate
    return f"{drain['moving']} moving, {rate:.1f} a second, about {left_s:.0f} s left"


def _row(shard: dict[str, Any]) -> list[str]:
    def told(name: str, form: str = "{}") -> str:
        return form.format(shard[name]) if shard[name] is not None else ""

    drain = shard["drain"]
    return [
        shard["name"],
        _state(shard),
        told("host"),
        f"{shard['sessions']} of {shard['capacity']}" if shard["sessions"] is not None else "",
        told("starting"),
        told("waiting"),
        told("loop_lag_ms", "{:.0f} ms"),
        told("cpu_percent", "{:.0f} %"),
        f"{shard['rss_bytes'] / 1e6:.0f} MB" if shard["rss_bytes"] is not None else "",
        _drained(drain) if drain else "",
    ]


def _state(shard: dict[str, Any]) -> str:
    if not shard["alive"]:
        return "gone"
    if shard["stopping"]:
        return "stopping"
    if shard["cooling_until"]:
        return "crashed lately"
    return "full" if shard["full"] else "up"


def _drained(drain: dict[str, Any]) -> str:
    if drain["left"] is None:
        return "begun"
    if not drain["left"] and not drain["moving"]:
        return "drained"
    return drain["blocked_reason"] or f"{drain['left']} left, {drain['moving']} moving"
