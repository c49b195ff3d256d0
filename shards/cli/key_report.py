"""What is said of keys: never a key, only its id, what it seals, and until when it is needed."""

from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.table import Table

from daemon.core.printable import printable
from shards.cli.key_use import Use

PLAIN = "(not encrypted)"


def key_rows(configured: Sequence[str], uses: Mapping[str | None, Use]) -> list[dict[str, object]]:
    """Return one row for each key that is configured or used, in the order of ARCHIVE_KEYS, then the others."""
    found = sorted(key_id for key_id in uses if key_id is not None and key_id not in configured)
    plain: list[str | None] = [None] if None in uses else []
    rows: list[dict[str, object]] = []
    for key_id in [*configured, *found, *plain]:
        use = uses.get(key_id, Use())
        rows.append(
            {
                "key_id": key_id,
                "role": _role(key_id, configured),
                "archives": use.archives,
                "hot_copies": use.hot_copies,
                "needed": use.needed or key_id in configured[:1],
                "newest_archives": use.newest,
                "older_archives_until": use.until.isoformat() if use.until else None,
            }
        )
    return rows


def _role(key_id: str | None, configured: Sequence[str]) -> str:
    if key_id is None:
        return "plain"
    if key_id not in configured:
        return "missing"
    return "seals" if key_id == configured[0] else "opens"


def show_keys(rows: Sequence[Mapping[str, object]], console: Console) -> None:
    """Print the rows for people."""
    table = Table("key", "role", "archives", "hot copies", "", box=None)
    for row in rows:
        name = str(row["key_id"]) if row["key_id"] is not None else PLAIN
        table.add_row(printable(name), str(row["role"]), str(row["archives"]), str(row["hot_copies"]), needed_line(row))
    console.print(table)


def needed_line(row: Mapping[str, object]) -> str:
    """Say whether a key can go, or until when not."""
    if row["role"] == "seals":
        return "seals what is stored from now on"
    if not row["needed"]:
        return "can be removed from ARCHIVE_KEYS"
    reasons = []
    if row["hot_copies"] or row["newest_archives"]:
        reasons.append("until its sessions have been backed up again")
    if row["older_archives_until"]:
        reasons.append(f"for older generations until {row['older_archives_until']}")
    line = ("stays " if row["role"] == "plain" else "needed ") + " and ".join(reasons)
    return f"MISSING from ARCHIVE_KEYS, {line}" if row["role"] == "missing" else line
