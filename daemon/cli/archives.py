"""`blazz sessions backup|archives|rollback|restore`: a session's copies, and beginning from one."""

from typing import Any
from urllib.parse import urlencode

import click

from daemon.cli.client import Coordinator
from daemon.cli.options import AS_JSON, YES
from daemon.cli.printing import print_json, print_table
from daemon.cli.session_said import ask, say, session_path


@click.command()
@click.argument("session_id")
@AS_JSON
def backup(session_id: str, as_json: bool) -> None:
    """Take a hot copy and an archive now."""
    with Coordinator() as coordinator:
        found = coordinator.post(session_path(session_id, "backup"))
    say(found, "backed up", as_json)


@click.command()
@click.argument("session_id")
@AS_JSON
def archives(session_id: str, as_json: bool) -> None:
    """List what the bucket has of a session, newest first."""
    found: list[dict[str, Any]] = []
    cursor = ""
    with Coordinator() as coordinator:
        while True:
            query = urlencode({"limit": 100} | _given(cursor=cursor))
            page = coordinator.get(f"{session_path(session_id, 'archives')}?{query}")
            found += page["archives"]
            cursor = page["next_cursor"]
            if cursor is None:
                break
    if as_json:
        print_json({"hot_copy": page["hot_copy"], "archives": found})
        return
    print_table(("generation", "token", "backed up", "bytes", "clean", "Chromium", "key", ""), map(_row, found))


@click.command()
@click.argument("session_id")
@click.argument("generation", type=int)
@click.option("--token", type=int, help="Needed only if several archives have this generation.")
@YES
@AS_JSON
def rollback(session_id: str, generation: int, token: int | None, yes: bool, as_json: bool) -> None:
    """Stop a session with a last backup and begin it from an archive. Nothing newer is deleted."""
    ask(f"begin {session_id} from generation {generation}, passing over everything newer?", yes)
    with Coordinator() as coordinator:
        body = {"generation": generation} | ({"token": token} if token is not None else {})
        found = coordinator.post(session_path(session_id, "rollback"), body)
    say(found, f"goes back to generation {generation}", as_json)


@click.command()
@click.argument("session_id")
@AS_JSON
def restore(session_id: str, as_json: bool) -> None:
    """Have a session connected again; one that runs is left alone."""
    with Coordinator() as coordinator:
        found = coordinator.post(session_path(session_id, "restore"))
    say(found, "is restored", as_json)


def _row(one: dict[str, Any]) -> list[str]:
    state = "void" if one["void"] else "set aside" if one["set_aside"] else ""
    told = (one["generation"], one["token"], one["backed_up_at"], one["size_bytes"], one["clean"], one["chromium"],
            one["key_id"], state)  # fmt: skip
    return ["" if value is None else str(value) for value in told]


def _given(**values: str) -> dict[str, str]:
    return {name: value for name, value in values.items() if value}
