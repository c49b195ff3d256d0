"""`blazz restore`: many sessions connected again, followed to the end."""

from typing import Any

import click

from daemon.cli.client import Coordinator, below
from daemon.cli.following import NotFinishedError, Step, follow
from daemon.cli.options import json_option
from daemon.cli.printing import print_json, print_line
from daemon.core.exit_codes import ExitCode

_PATH = "/api/whatsapp/restore"


@click.command()
@click.argument("session_ids", nargs=-1)
@click.option(
    "--source",
    type=click.Choice(["registry", "bucket", "platform"]),
    help="Instead of ids: all that should run, that only the bucket knows, or that the platform calls connected.",
)
@click.option("--workspace", help="Workspace of the ids: those that Redis lost are then looked for in the bucket.")
@click.option("--no-wait", is_flag=True, help="Ask for it and do not follow it.")
@click.option("--timeout", "timeout_s", type=click.FloatRange(min=0), help="Follow it for so many seconds only.")
@json_option("Print the job as JSON.")
def restore(
    session_ids: tuple[str, ...],
    source: str | None,
    workspace: str | None,
    no_wait: bool,
    timeout_s: float | None,
    as_json: bool,
) -> None:
    """Have sessions connected again, and say how far that is. Ends with 1 when some are not connected."""
    if bool(session_ids) is (source is not None):
        raise click.UsageError("give either session ids or --source")
    asked = [{"session_id": i, "workspace_id": workspace} if workspace else i for i in session_ids]
    with Coordinator() as coordinator:
        job = coordinator.post(_PATH, {"source": source} if source else {"sessions": asked})
        code: int = ExitCode.OK
        if not no_wait:
            job, code = _followed(coordinator, job, timeout_s)
    _print(job, as_json=as_json)
    raise SystemExit(code)


def _followed(coordinator: Coordinator, job: dict[str, Any], timeout_s: float | None) -> tuple[dict[str, Any], int]:
    """Return the job as it was seen last, and the exit code."""
    path, seen = below(_PATH, job["job_id"]), job

    def look() -> Step:
        nonlocal seen
        seen = coordinator.get(path)
        left = f"about {seen['eta_s']:.0f} s left" if seen["eta_s"] else seen.get("reason") or ""
        done = seen["total"] - seen["waiting"]
        return Step(done=done, total=seen["total"], note=left, finished=seen["state"] == "done")

    try:
        follow("sessions", look, timeout_s=timeout_s)
    except NotFinishedError:
        print_line(f"not finished in {timeout_s:g} s; it goes on as {job['job_id']}", err=True)
        return seen, ExitCode.TEMPORARY
    except KeyboardInterrupt:
        print_line(f"not followed any more; it goes on as {job['job_id']}", err=True)
        return seen, ExitCode.INTERRUPTED
    failed = _gave_up(seen) or seen["unknown_count"] or seen["connected"] < seen["total"]
    return seen, 1 if failed else ExitCode.OK


def _print(job: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(job)
        return
    counts = ", ".join(f"{job[name]} {name.replace('_', ' ')}" for name in _COUNTS if job[name])
    print_line(f"{job['job_id']}: {job['state']}; {job['total']} sessions{': ' if counts else ''}{counts}")
    if job["unknown_count"]:
        shown = ", ".join(job["unknown"])
        print_line(f"{job['unknown_count']} that nobody knows: {shown}")
    if _gave_up(job):
        print_line(f"it has given up{': ' if job['reason'] else ''}{job['reason'] or ''}")


def _gave_up(job: dict[str, Any]) -> bool:
    return bool(job.get("gave_up"))  # an older coordinator does not say


_COUNTS = ("connected", "waiting", "failed", "needs_scan", "ended")
