"""`blazz keys`: the keys that archives and hot copies are encrypted with."""

import asyncio
import json
import sys
from collections import Counter

import click

from daemon.cli.options import json_option
from daemon.core.archive_keys import archive_keys_text
from daemon.core.clock import utc_now
from daemon.core.sections import ArchiveSettings
from daemon.core.settings import load_section
from shards.cli.console import output_console
from shards.cli.key_file import new_key_id, with_new_key, write_new_key
from shards.cli.key_report import key_rows, show_keys
from shards.cli.key_use import look, plan_use
from shards.cli.parts import Parts, run
from shards.cli.progress import ProgressLine
from shards.cli.rotating import DONE, Rotated, Rotation
from shards.leases import LeaseKeeper


@click.group()
def keys() -> None:
    """Keys that archives and hot copies are encrypted with."""


@keys.command()
@click.option("--id", "key_id", help="Id of the new key; default today's date.")
@click.option("--write", is_flag=True, help="Put it in front of ARCHIVE_KEYS in DATA_ROOT/secrets.env.")
@json_option("As JSON: without --write, `archive_keys` is the new value.")
def new(key_id: str | None, write: bool, as_json: bool) -> None:
    """Make a key. Without --write, print the new value of ARCHIVE_KEYS, which is a secret."""
    if write:
        key_id, path = write_new_key(key_id, utc_now().date())
        if as_json:
            click.echo(json.dumps({"key_id": key_id, "written_to": str(path)}))
        click.echo(f"key {key_id} is now the first of ARCHIVE_KEYS in {path}", err=True)
    else:
        present = load_section(ArchiveSettings).keys
        key_id = key_id or new_key_id(present, utc_now().date())
        text = archive_keys_text(with_new_key(present, key_id))
        click.echo(json.dumps({"key_id": key_id, "archive_keys": text}) if as_json else text)
        if sys.stdout.isatty():
            click.echo("this is a secret and stands on your screen now: clear it when you have stored it", err=True)
    click.echo(
        "keep a copy of it elsewhere: without it nobody can open what it seals. Give it to every host, restart"
        " coordinator and shards, then run `blazz keys rotate`",
        err=True,
    )


@keys.command()
@json_option("As JSON.")
def status(as_json: bool) -> None:
    """Show which keys are configured, what each of them seals, and which can go."""
    rows = run(lambda parts: _rows(parts, as_json))
    if as_json:
        click.echo(json.dumps({"keys": rows}, indent=2))
    else:
        show_keys(rows, output_console())


@keys.command()
@json_option("The results as JSON.")
def rotate(as_json: bool) -> None:
    """Bring the newest copy of every session under the first of ARCHIVE_KEYS. Can be stopped and run again."""
    results, rows = run(lambda parts: _rotate(parts, as_json))
    counts = Counter(result.outcome.value for result in results)
    if as_json:
        left = [
            {"session_id": r.session_id, "outcome": r.outcome.value, "code": r.error.code, "message": r.error.message}
            for r in results
            if r.error is not None
        ]
        click.echo(json.dumps({"counts": counts, "not_done": left, "keys": rows}, indent=2))
    else:
        click.echo(", ".join(f"{count} {outcome}" for outcome, count in sorted(counts.items())) or "no sessions")
        show_keys(rows, output_console())
    if any(result.outcome not in DONE for result in results):
        raise SystemExit(1)


async def _rotate(parts: Parts, as_json: bool) -> tuple[list[Rotated], list[dict[str, object]]]:
    shard = parts.settings.shard
    keeper = LeaseKeeper(
        parts.registry.leases,
        renew_interval_s=shard.lease_renew_interval_ms / 1000,
        margin_s=shard.lease_margin_ms / 1000,
    )
    ended = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(keeper.run(ended))
        with ProgressLine("rotated", as_json=as_json) as progress:
            rotation = Rotation(parts, keeper, progress)
            await rotation.run()
        ended.set()
    return rotation.results, await _rows(parts, as_json)


async def _rows(parts: Parts, as_json: bool) -> list[dict[str, object]]:
    archive = parts.settings.archive
    with ProgressLine("looked at", as_json=as_json) as progress:
        seen = await look(parts, progress)
    uses = plan_use(seen, keep_newest=archive.keep_newest, keep_days=archive.keep_days)
    if seen.unreadable:
        click.echo(f"{seen.unreadable} hot copies are damaged; their sessions restore from archives", err=True)
    return key_rows(list(archive.keys), uses)
