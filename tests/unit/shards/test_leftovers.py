"""Which profiles may go from a shard's disk."""

from dataclasses import replace

from daemon.core.clock import utc_now
from daemon.sessions.record import CopyFacts, SessionRecord
from shards.leftovers import needless

NOW = utc_now()
COPY = CopyFacts(at=NOW, size_bytes=1, token=1, generation=1, clean=True, content_digest="d")
LINKED = SessionRecord(
    session_id="s", workspace_id="1", user_id="2", created_at=NOW, status_at=NOW, paired=True, hot_copy=COPY
)


def may_go(record: SessionRecord | None, *, ended: bool = False, left: tuple[int, int] | None = None) -> bool:
    return needless(record, here="shard_00", ended=ended, left=left)


def test_what_is_placed_here_stays() -> None:
    assert not may_go(replace(LINKED, shard="shard_00"))
    assert not may_go(replace(LINKED, shard="shard_00", paired=False))


def test_what_runs_elsewhere_goes_once_a_copy_is_stored() -> None:
    assert may_go(replace(LINKED, shard="shard_01"))
    assert not may_go(replace(LINKED, shard="shard_01", hot_copy=None))
    assert may_go(replace(LINKED, shard="shard_01", hot_copy=None, archive=COPY))


def test_a_login_that_is_placed_nowhere_stays() -> None:
    assert not may_go(replace(LINKED, shard=None))


def test_a_missing_record_proves_nothing_without_a_tombstone() -> None:
    assert not may_go(None)
    assert may_go(None, ended=True)


def test_what_was_left_here_stays_until_a_store_has_something_as_new() -> None:
    moved = replace(LINKED, shard="shard_01")
    assert not may_go(moved, left=(1, 2))
    assert may_go(moved, left=(1, 1))
    assert may_go(replace(moved, archive=replace(COPY, generation=2)), left=(1, 2))
