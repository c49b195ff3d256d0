"""`blazz webhooks`: how the endpoints do, and the events that they did not get, sent again if wished."""

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import click
from rich.table import Table

from daemon.cli.client import Coordinator
from daemon.cli.following import Step, follow
from daemon.cli.options import AS_JSON
from daemon.cli.tables import print_table

_PATH = "/api/whatsapp/webhooks"
_PAGE = 500
_ENDPOINT = click.option("--endpoint", help="Only of this endpoint.")
_SESSION = click.option("--session", "session_id", help="Only of this session.")
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
        click.echo(json.dumps(answer))
        return
    table = Table("endpoint", "host", "state", "waiting", "parked", "oldest", "dead", "lost", "events", "why", box=None)
    for one in answer["endpoints"]:
        table.add_row(*_row(one))
    _print(table)


@webhooks.command()
@click.argument("letter_id", required=False)
@_ENDPOINT
@_SESSION
@_EVENT
@click.option("--limit", type=click.IntRange(min=1), default=100, show_default=True, help="Most to list.")
@AS_JSON
def dead(
    letter_id: str | None, endpoint: str | None, session_id: str | None, event: str | None, limit: int, as_json: bool
) -> None:
    """List the events that were given up, oldest first; or show one of them whole."""
    with Coordinator() as coordinator:
        if letter_id is not None:
            click.echo(json.dumps(coordinator.get(f"{_PATH}/dead/{letter_id}"), indent=None if as_json else 2))
            return
        found = list(_dead(coordinator, _given(endpoint=endpoint, session_id=session_id, event=event), limit))
    if as_json:
        click.echo(json.dumps({"dead": found}))
        return
    table = Table("id", "endpoint", "session", "event", "told", "tries", "why", box=None)
    for one in found:
        event_of = one["event"]
        table.add_row(
            one["id"],
            one["endpoint"],
            event_of.get("session_id") or "",
            str(event_of.get("event", "")),
            one["told_at"],
            str(one["tries"]),
            one["reason"],
        )
    _print(table)


@webhooks.command()
@click.argument("letter_ids", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="All dead letters that there are now.")
@_ENDPOINT
@_SESSION
@_EVENT
@AS_JSON
def redrive(
    letter_ids: tuple[str, ...],
    everything: bool,
    endpoint: str | None,
    session_id: str | None,
    event: str | None,
    as_json: bool,
) -> None:
    """Send dead letters again: those of these ids, all, or those that the options name."""
    wanted = _given(endpoint=endpoint, session_id=session_id, event=event)
    if [bool(letter_ids), everything, bool(wanted)].count(True) != 1:
        raise click.UsageError("give either ids, or --all, or some of --endpoint, --session, --event")
    asked: dict[str, Any] = {"ids": list(letter_ids)} if letter_ids else wanted or {"all": True}
    with Coordinator() as coordinator:
        sent = _redriven(coordinator, asked)
    if as_json:
        click.echo(json.dumps(sent))
    else:
        skipped = f", {sent['skipped']} skipped" if sent["skipped"] else ""
        click.echo(f"{sent['redriven']} events are sent again{skipped}")


@webhooks.command()
@click.argument("name")
@AS_JSON
def resume(name: str, as_json: bool) -> None:
    """Deliver again to an endpoint that was paused."""
    with Coordinator() as coordinator:
        one = coordinator.post(f"{_PATH}/{name}/resume")
    click.echo(json.dumps(one) if as_json else f"{name} gets events again; {one['waiting']} wait for it")


@webhooks.command()
@click.argument("name")
@AS_JSON
def test(name: str, as_json: bool) -> None:
    """Post a signed event `test` to an endpoint now. Ends with 1 when it is not taken."""
    with Coordinator() as coordinator:
        answer = coordinator.post(f"{_PATH}/{name}/test")
    if as_json:
        click.echo(json.dumps(answer))
    elif answer["taken"]:
        click.echo(f"{name} took it: HTTP {answer['status']} in {answer['took_ms']:.0f} ms")
    else:
        click.echo(f"{name} did not take it: {answer['error']}")
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


def _redriven(coordinator: Coordinator, asked: dict[str, Any]) -> dict[str, Any]:
    """Ask again until all are sent; shows how far that is."""
    sent = {"redriven": 0, "skipped": 0}
    total = sum(one["dead"] for one in coordinator.get(_PATH)["endpoints"]) if "all" in asked else 0

    def step() -> Step:
        answer = coordinator.post(f"{_PATH}/dead/redrive", asked)
        for name in sent:
            sent[name] += answer[name]
        asked["cursor"] = answer["next_cursor"]
        done = sum(sent.values())
        return Step(done=done, total=max(total, done), note="", finished=answer["next_cursor"] is None)

    if "ids" in asked:
        answer = coordinator.post(f"{_PATH}/dead/redrive", asked)
        return {name: answer[name] for name in sent}
    follow("sent again", step, timeout_s=None)
    return dict(sent)


def _print(table: Table) -> None:
    print_table(table)


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
