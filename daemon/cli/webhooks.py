"""`blazz webhooks`: how the endpoints do, and the events that they did not get, sent again if wished."""

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import click

from daemon.cli.client import Coordinator, below
from daemon.cli.following import Step, follow
from daemon.cli.options import AS_JSON
from daemon.cli.printing import print_json, print_line, print_table
from daemon.core.errors import BlazzError

_PATH = "/api/whatsapp/webhooks"
_PAGE = 500
_ENDPOINT = click.option("--endpoint", help="Only of this endpoint.")
_SESSION = click.option("--session", "session_id", help="Only of this session.")
_WORKSPACE = click.option("--workspace", "workspace_id", help="Only of this workspace.")
_EVENT = click.option("--event", help="Only events of this name.")


@click.group()
def webhooks() -> None:
    """Look at webhook endpoints, and at the events that they did not get."""


@webhooks.command("list")
@AS_JSON
def list_all(as_json: bool) -> None:
    """List the endpoints, how they do, and how much waits for them."""
    with Coordinator() as coordinator:
        answer = coordinator.get(_PATH)
    if as_json:
        print_json(answer)
        return
    titles = ("endpoint", "host", "state", "waiting", "parked", "oldest", "dead", "lost", "events", "why")
    print_table(titles, map(_row, answer["endpoints"]))


@webhooks.command()
@click.argument("letter_id", required=False)
@_ENDPOINT
@_SESSION
@_WORKSPACE
@_EVENT
@click.option("--limit", type=click.IntRange(min=1), default=100, show_default=True, help="Most to list.")
@AS_JSON
def dead(letter_id: str | None, limit: int, as_json: bool, **filters: str | None) -> None:
    """List the events that were given up, oldest first; or show one of them whole."""
    with Coordinator() as coordinator:
        if letter_id is not None:
            letter = coordinator.get(below(_PATH, "dead", letter_id))
            click.echo(json.dumps(letter, indent=None if as_json else 2))
            return
        found = list(_dead(coordinator, _given(**filters), limit))
    if as_json:
        print_json({"dead": found})
    else:
        print_table(("id", "endpoint", "session", "event", "told", "tries", "why"), map(_letter_row, found))


@webhooks.command()
@click.argument("letter_ids", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="All dead letters that there are now.")
@_ENDPOINT
@_SESSION
@_WORKSPACE
@_EVENT
@AS_JSON
def redrive(letter_ids: tuple[str, ...], everything: bool, as_json: bool, **filters: str | None) -> None:
    """Send dead letters again: those of these ids, all, or those that the options name."""
    wanted = _given(**filters)
    if [bool(letter_ids), everything, bool(wanted)].count(True) != 1:
        raise click.UsageError("give either ids, or --all, or some of --endpoint, --session, --workspace, --event")
    asked: dict[str, Any] = {"ids": list(letter_ids)} if letter_ids else wanted or {"all": True}
    sent = {"redriven": 0, "skipped": 0}
    try:
        with Coordinator() as coordinator:
            _redrive(coordinator, asked, sent)
    except (KeyboardInterrupt, BlazzError):
        if any(sent.values()):
            _say_sent(sent, as_json)
        raise
    _say_sent(sent, as_json)
    # Of all, or of those that options name, some may just have gone; one that is asked for by its id should be there.
    if sent["skipped"] and (letter_ids or not sent["redriven"]):
        raise SystemExit(1)


@webhooks.command()
@click.argument("name")
@AS_JSON
def resume(name: str, as_json: bool) -> None:
    """Deliver again to an endpoint that was paused."""
    with Coordinator() as coordinator:
        one = coordinator.post(below(_PATH, name, "resume"))
    if as_json:
        print_json(one)
    else:
        print_line(f"{name} gets events again; {one['waiting']} wait for it")


@webhooks.command()
@click.argument("name")
@AS_JSON
def test(name: str, as_json: bool) -> None:
    """Post a signed event `test` to an endpoint now. Ends with 1 when it is not taken."""
    with Coordinator() as coordinator:
        answer = coordinator.post(below(_PATH, name, "test"))
    if as_json:
        print_json(answer)
    elif answer["taken"]:
        print_line(f"{name} took it: HTTP {answer['status']} in {answer['took_ms']:.0f} ms")
    else:
        print_line(f"{name} did not take it: {answer['error']}")
    if not answer["taken"]:
        raise SystemExit(1)


def _given(**options: str | None) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}


def _dead(coordinator: Coordinator, wanted: dict[str, Any], limit: int) -> Iterator[dict[str, Any]]:
    cursor: str | None = None
    while limit > 0:
        query = wanted | {"limit": min(limit, _PAGE)} | ({"cursor": cursor} if cursor else {})
        page = coordinator.get(f"{_PATH}/dead?{urlencode(query)}")
        yield from page["dead"]
        limit, cursor = limit - len(page["dead"]), page["next_cursor"]
        if cursor is None:
            return


def _redrive(coordinator: Coordinator, asked: dict[str, Any], sent: dict[str, int]) -> None:
    """Ask again until all are sent, and count them in `sent`; shows how far that is."""
    total = sum(one["dead"] for one in coordinator.get(_PATH)["endpoints"]) if "all" in asked else 0

    def step() -> Step:
        answer = coordinator.post(f"{_PATH}/dead/redrive", asked)
        for name in sent:
            sent[name] += answer[name]
        asked["cursor"] = answer["next_cursor"]
        done = sum(sent.values())
        return Step(done=done, total=max(total, done), note="", finished=answer["next_cursor"] is None)

    if "ids" in asked:
        step()
    else:
        follow("sent again", step, timeout_s=None)


def _say_sent(sent: dict[str, int], as_json: bool) -> None:
    if as_json:
        print_json(sent)
        return
    skipped = f", {sent['skipped']} skipped" if sent["skipped"] else ""
    print_line(f"{sent['redriven']} events are sent again{skipped}")


def _letter_row(one: dict[str, Any]) -> list[str]:
    event = one["event"]
    told = (one["id"], one["endpoint"], event.get("session_id"), event.get("event"), one["told_at"], one["tries"],
            one["reason"])  # fmt: skip
    return [str(value or "") for value in told]


def _row(one: dict[str, Any]) -> list[str]:
    lost = one["dropped"] + one["forgotten"]
    return [
        one["name"],
        one["host"],
        one["state"],
        str(one["waiting"]),
        str(one["parked_sessions"]),
        one["oldest_waiting_at"] or "",
        str(one["dead"]),
        str(lost) if lost else "",
        ", ".join(one["events"]) if one["events"] is not None else "all",
        one["error"] or "",
    ]
