"""How long a key is needed follows from what retention keeps."""

from datetime import UTC, date, datetime, timedelta

from daemon.objectstore.catalogue import ArchiveRef
from shards.cli.key_report import key_rows, needed_line
from shards.cli.key_use import Look, Sealed, Use, plan_use

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


def sealed(generation: int, key_id: str | None, *, days_ago: int = 0) -> Sealed:
    ref = ArchiveRef(
        session_id="s",
        workspace_id="1",
        token=1,
        generation=generation,
        key="k",
        size_bytes=1,
        stored_at=NOON - timedelta(days=days_ago),
    )
    return Sealed(ref=ref, key_id=key_id)


def seen(*archives: Sealed, **hot_copies: int) -> Look:
    look = Look()
    look.sealed["1", "s"] = list(archives)
    look.hot_copies |= hot_copies
    return look


def test_the_newest_stay_until_the_next_backup_and_older_ones_for_days() -> None:
    archives = [sealed(4, "new"), sealed(3, "old"), sealed(2, "old", days_ago=1), sealed(1, "old", days_ago=2)]
    uses = plan_use(seen(*archives, new=1), keep_newest=2, keep_days=3)
    assert uses["new"] == Use(archives=1, hot_copies=1, newest=1)
    assert uses["old"] == Use(archives=3, newest=1, until=date(2026, 11, 25))


def test_a_key_that_seals_nothing_can_go_unless_it_is_the_first() -> None:
    first, second = key_rows(["first", "second"], {})
    assert "from now on" in needed_line(first)
    assert needed_line(second) == "can be removed from ARCHIVE_KEYS"


def test_a_key_that_is_used_and_not_configured_is_missing() -> None:
    rows = key_rows(["first"], {"lost": Use(archives=1, newest=1), None: Use(hot_copies=1)})
    assert [(row["key_id"], row["role"]) for row in rows] == [("first", "seals"), ("lost", "missing"), (None, "plain")]
    assert needed_line(rows[1]).startswith("MISSING from ARCHIVE_KEYS, needed until")
