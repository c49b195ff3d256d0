"""`blazz template`: making, showing and removing the template of the page's caches."""

import json
import os
from dataclasses import asdict
from pathlib import Path

import click
from rich.table import Table

from daemon.cli.options import json_option
from daemon.core.clock import iso, utc_now
from daemon.core.errors import FatalError
from daemon.core.sections import BrowserSettings, PathSettings
from daemon.core.settings import load_section
from shards.browser.version import binary_version
from shards.cli.console import output_console
from shards.cli.making import OPENINGS, fill_caches
from shards.cli.parts import Parts, run
from shards.cli.progress import ProgressLine
from shards.page.script import page_origin
from shards.profile import template as store
from shards.profile.space import check_free_space
from shards.profile.template import Template, TemplateKey


@click.group()
def template() -> None:
    """The template of the page's caches, for restored sessions; used with PAGE_TEMPLATE=on."""


@template.command()
@json_option("As JSON.")
def make(as_json: bool) -> None:
    """Make it with the Chromium and the page that are set here. Takes about a minute."""
    made = run(lambda parts: _make(parts, as_json))
    if as_json:
        click.echo(json.dumps(_told(made)))
        return
    state = "" if load_section(BrowserSettings).page_template == "on" else "; set PAGE_TEMPLATE=on to use it"
    click.echo(f"{made.size_bytes:,} bytes in {len(made.files)} files, page {made.wa_version or 'unknown'}{state}")
    if not made.answers:
        click.echo("nothing that the page loads says it is immutable, so this saves little: measure before using it")


@template.command()
@json_option("As JSON.")
def status(as_json: bool) -> None:
    """Show the templates here, and whether one fits the Chromium that is set."""
    key, found = run(_look)
    if as_json:
        click.echo(json.dumps({"templates": [_told(item) | {"fits": item.key == key} for item in found]}))
        return
    table = Table("Chromium", "binary", "page", "page version", "size", "age", "fits")
    for item in found:
        hours = (utc_now() - item.made_at).total_seconds() / 3600
        table.add_row(
            item.key.chromium,
            item.key.binary,
            item.key.origin,
            item.wa_version or "unknown",
            f"{item.size_bytes:,}",
            f"{hours:.1f} h",
            "yes" if item.key == key else "no",
        )
    if found:
        output_console().print(table)
    if not any(item.key == key for item in found):
        click.echo(f"none fits {key.binary} {key.chromium}: blazz template make")


@template.command()
@json_option("As JSON.")
def remove(as_json: bool) -> None:
    """Remove all templates; sessions keep what they have."""
    count = store.remove(load_section(PathSettings).profile_root)
    click.echo(json.dumps({"removed": count}) if as_json else f"{count} removed")


def _told(item: Template) -> dict[str, object]:
    """Return a template as JSON has it. Without `answers` that are immutable it saves little."""
    return asdict(item.key) | {
        "wa_version": item.wa_version,
        "made_at": iso(item.made_at),
        "size_bytes": item.size_bytes,
        "files": len(item.files),
        "answers": item.answers,
    }


async def _make(parts: Parts, as_json: bool) -> Template:
    browser, paths = parts.settings.browser, parts.settings.paths
    _check_owner(paths.profile_root)
    check_free_space(parts.scratch, min_free_bytes=paths.min_free_bytes)
    key = await _key(parts)
    with ProgressLine("opened", total=OPENINGS, as_json=as_json) as progress:
        filled = await fill_caches(browser, parts.scratch, step=progress.step)
    root = paths.profile_root.absolute()
    return await parts.threaded(lambda: store.seal(filled.profile_dir, root, key, filled.wa_version))


async def _look(parts: Parts) -> tuple[TemplateKey, tuple[Template, ...]]:
    return await _key(parts), store.templates(parts.settings.paths.profile_root)


async def _key(parts: Parts) -> TemplateKey:
    browser = parts.settings.browser
    return TemplateKey(
        chromium=await binary_version(browser.chromium_path),
        binary=browser.chromium_path.name,
        origin=page_origin(browser.web_url),
    )


def _check_owner(profile_root: Path) -> None:
    """Check that the shards will be able to read what this process writes."""
    if profile_root.exists() and profile_root.stat().st_uid != os.geteuid():
        raise FatalError("PROFILE_ROOT belongs to another user", hint="run this as the user of the shards")
