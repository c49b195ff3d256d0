"""What became of each zip of an adoption, as JSON and as a table."""

from collections import Counter

from rich.console import Console
from rich.table import Table

from daemon.core.printable import printable
from shards.cli.adopting import FAILED, Adopted, Adoption, Outcome

_SAID = {
    Outcome.ADOPTED: "adopted",
    Outcome.WOULD_ADOPT: "good, not stored (--dry-run)",
    Outcome.PRESENT: "adopted before",
    Outcome.HAS_NEWER: "skipped: has archives of its own",
    Outcome.OLDER: "skipped: a later one was taken",
    Outcome.DAMAGED: "damaged, left alone",
    Outcome.GONE: "removed or replaced while it was read",
    Outcome.NO_WORKSPACE: "workspace not known",
}


def adoption_json(adoption: Adoption) -> dict[str, object]:
    """Return everything as JSON has it."""
    return {
        "dry_run": adoption.dry_run,
        "counts": _counts(adoption),
        "other_objects": adoption.passed_over,
        "archives": [_row(result) for result in adoption.results],
    }


def show_adoption(adoption: Adoption, console: Console) -> None:
    """Print it for people: what could not be adopted one by one (beforehand all of it), then numbers."""
    failed = [result for result in adoption.results if result.outcome in FAILED or adoption.dry_run]
    if not adoption.results and not adoption.passed_over:
        return  # nothing there, or nothing known: the caller says which
    if failed:
        problems = Table(box=None)
        for name in ("object", "session", "what", "why"):
            problems.add_column(name, overflow="fold")
        for result in failed:
            row = _row(result)
            why = f"{result.message} ({result.code})" if result.code else result.message
            told = (str(row["key"]), str(row["session_id"]), _SAID[result.outcome], why)
            problems.add_row(*map(printable, told))
        console.print(problems)
        console.print()
    numbers = Table("zips", "what", box=None)
    for outcome, count in _counts(adoption).items():
        numbers.add_row(str(count), _SAID[Outcome(outcome)])
    if adoption.passed_over:
        numbers.add_row(str(adoption.passed_over), "other objects, passed over")
    console.print(numbers)


def _counts(adoption: Adoption) -> dict[str, int]:
    counts = Counter(result.outcome for result in adoption.results)
    return {outcome.value: counts[outcome] for outcome in Outcome if counts[outcome]}


def _row(result: Adopted) -> dict[str, object]:
    return {
        "key": result.found.item.key,
        "size_bytes": result.found.item.size_bytes,
        "session_id": result.found.session_id,
        "workspace_id": result.found.workspace_id,
        "user_id": result.found.user_id,
        "outcome": result.outcome.value,
        "archive_key": result.archive_key,
        "code": result.code or None,
        "message": result.message or None,
    }
