"""`blazz archive`: looking at archives, checking them, and taking over those of a Node service."""

import json
import tempfile
from pathlib import Path

import click

from daemon.cli.options import json_option
from daemon.core.errors import SessionNotFoundError
from daemon.core.ids import check_id
from daemon.core.sections import ArchiveSettings
from daemon.core.settings import load_section
from shards.archive.keyring import Keyring, keyring_of
from shards.archive.unpack import UnpackLimits
from shards.cli.adopting import FAILED, Adoption
from shards.cli.adoption_report import adoption_json, show_adoption
from shards.cli.bucket_check import BucketCheck, prefix_for
from shards.cli.console import output_console
from shards.cli.inspecting import inspect_file, show
from shards.cli.parts import Parts, run
from shards.cli.progress import ProgressLine
from shards.cli.verifying import Tally, verify_files

_FILE = click.Path(exists=True, dir_okay=False, readable=True, path_type=Path)


@click.group()
def archive() -> None:
    """Archives: what is in them, whether they are good, and taking over those of a Node service."""


@archive.command()
@click.argument("file", type=_FILE)
@json_option("As JSON.")
def inspect(file: Path, as_json: bool) -> None:
    """Show what FILE is: an archive, a hot copy, or the zip of a Node service."""
    keyring, limits = _opening()
    with tempfile.TemporaryDirectory() as folder:
        found = inspect_file(file, keyring=keyring, limits=limits, scratch=Path(folder))
    if as_json:
        click.echo(json.dumps(found.to_json(), indent=2))
    else:
        show(found, output_console())
    if found.locked is not None:
        raise found.locked


@archive.command()
@click.argument("files", type=_FILE, nargs=-1)
@click.option("--session", "session_id", help="The archives of this session in the bucket.")
@click.option("--workspace", "workspace_id", help="The archives of this workspace, or where the session belongs.")
@click.option("--all", "everything", is_flag=True, help="All archives in the bucket.")
@json_option("The results as JSON.")
def verify(
    files: tuple[Path, ...], session_id: str | None, workspace_id: str | None, everything: bool, as_json: bool
) -> None:
    """Verify archives completely, in FILES or in the bucket: the exit code is 0 only if all are good."""
    if bool(files) + everything + bool(session_id or workspace_id) != 1:
        raise click.UsageError("give either files, or --session and --workspace, or --all")
    if files:
        keyring, limits = _opening()
        with tempfile.TemporaryDirectory() as folder, _verifying(len(files), as_json) as progress:
            tally = verify_files(files, keyring=keyring, limits=limits, scratch=Path(folder), progress=progress)
    else:
        tally = run(lambda parts: _verify_bucket(parts, workspace_id, session_id, as_json))
    if as_json:
        click.echo(json.dumps(tally.to_json(), indent=2))
    else:
        click.echo(f"{tally.good} good ({tally.size_bytes:,} bytes), {len(tally.failures)} not")
    raise SystemExit(tally.exit_code)


@archive.command()
@click.option("--prefix", required=True, help="Where the zips lie in the bucket, for example sessions/.")
@click.option("--workspace", "workspace_id", help="Workspace of the sessions whose name does not tell it.")
@click.option("--dry-run", is_flag=True, help="Look and verify, store nothing.")
@json_option("The results as JSON.")
def adopt(prefix: str, workspace_id: str | None, dry_run: bool, as_json: bool) -> None:
    """Take over the zips that a Node service with RemoteAuth left below PREFIX. They stay as they are."""
    if workspace_id is not None:
        check_id(workspace_id, "workspace_id")

    if run(lambda parts: _adopt(Adoption(parts=parts, workspace_id=workspace_id, dry_run=dry_run), prefix, as_json)):
        raise SystemExit(1)


def _verifying(total: int | None, as_json: bool) -> ProgressLine:
    return ProgressLine("verified", total=total, as_json=as_json)


async def _verify_bucket(parts: Parts, workspace_id: str | None, session_id: str | None, as_json: bool) -> Tally:
    if session_id is not None and workspace_id is None:
        workspace_id = await _workspace_of(parts, session_id)
    with _verifying(None, as_json) as progress:
        checking = BucketCheck(parts=parts, progress=progress)
        await checking.run(prefix_for(workspace_id, session_id))
    if checking.passed_over:
        click.echo(f"{checking.passed_over} objects with other names passed over", err=True)
    return checking.tally


async def _workspace_of(parts: Parts, session_id: str) -> str:
    try:
        return (await parts.registry.records.get(check_id(session_id, "session_id"))).workspace_id
    except SessionNotFoundError as error:
        raise SessionNotFoundError(
            error.message, hint="Redis does not know it: give its --workspace", session_id=session_id
        ) from None


async def _adopt(adoption: Adoption, prefix: str, as_json: bool) -> bool:
    """Run it, print what was done even when it ends early, and say whether any zip could not be adopted."""
    try:
        with ProgressLine("adopted", as_json=as_json) as progress:
            await adoption.run(prefix, progress)
        if not as_json and not adoption.results and not adoption.passed_over:
            click.echo(f"the store has nothing below {prefix!r}")
    finally:
        if as_json:
            click.echo(json.dumps(adoption_json(adoption), indent=2))
        else:
            show_adoption(adoption, output_console())
    return any(result.outcome in FAILED for result in adoption.results)


def _opening() -> tuple[Keyring, UnpackLimits]:
    settings = load_section(ArchiveSettings)
    return keyring_of(settings), UnpackLimits(max_total_bytes=settings.max_unpacked_bytes)
