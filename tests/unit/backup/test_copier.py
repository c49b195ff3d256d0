"""What counts as a copy of the profile that runs now."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

from daemon.sessions.record import CopyFacts, SessionRecord
from shards.backup.copier import Copier
from shards.restore.restored import Restored

NOW = datetime(2026, 11, 1, tzinfo=UTC)


def copier(archive: CopyFacts | None) -> Copier:
    record = SessionRecord(
        session_id="s", workspace_id="1", user_id="u", created_at=NOW, status_at=NOW, archive=archive
    )
    return Copier(cast(Any, None), record, cast(Any, None), Path("nowhere"))


def test_an_archive_counts_until_it_is_of_a_login_before_this_one() -> None:
    made = copier(CopyFacts(at=NOW, size_bytes=9, token=3, generation=4, clean=True, content_digest="d", key="k"))
    made.begin_with(Restored(source="r2", order=(3, 4)))
    assert made.archived
    made.begin_with(Restored(source=None))
    assert not made.archived
    assert made.next_generation() == 5


def test_without_an_archive_none_counts() -> None:
    assert not copier(None).archived
