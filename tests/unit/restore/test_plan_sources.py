"""Which copy is tried first, and which never."""

from dataclasses import replace

from daemon.core.clock import utc_now
from daemon.objectstore.catalogue import ArchiveRef
from daemon.sessions.record import CopyFacts, SessionRecord
from shards.restore.plan import hot_copy_is_newest, plan_sources

NOW = utc_now()
RECORD = SessionRecord(session_id="s", workspace_id="1", user_id="2", created_at=NOW, status_at=NOW)


def archive(token: int, generation: int) -> ArchiveRef:
    return ArchiveRef(
        session_id="s",
        workspace_id="1",
        token=token,
        generation=generation,
        key=f"workspace_1/s/t{token:08d}-g{generation:08d}.zip",
        size_bytes=1,
        stored_at=NOW,
    )


def orders(record: SessionRecord, hot: tuple[int, int] | None, *refs: ArchiveRef) -> list[tuple[str, tuple[int, int]]]:
    return [(source.name, source.order) for source in plan_sources(record, hot_copy=hot, archives=refs)]


def test_the_highest_pair_comes_first_and_the_token_counts_more() -> None:
    assert orders(RECORD, (2, 9), archive(1, 50), archive(3, 1), archive(2, 8)) == [
        ("r2", (3, 1)),
        ("redis", (2, 9)),
        ("r2", (2, 8)),
        ("r2", (1, 50)),
    ]


def test_the_hot_copy_comes_before_an_archive_of_the_same_moment() -> None:
    assert orders(RECORD, (2, 2), archive(2, 2))[0] == ("redis", (2, 2))


def test_copies_of_an_ended_login_are_never_tried() -> None:
    assert orders(replace(RECORD, void_token=2), (2, 9), archive(1, 1), archive(3, 1)) == [("r2", (3, 1))]


def test_r2_is_asked_unless_the_record_proves_the_hot_copy_newest() -> None:
    known = CopyFacts(at=NOW, size_bytes=1, token=2, generation=5, clean=True, content_digest="")
    assert hot_copy_is_newest(replace(RECORD, archive=known), (2, 5))
    assert hot_copy_is_newest(RECORD, (1, 1))
    assert not hot_copy_is_newest(replace(RECORD, archive=known), (2, 4))
    assert not hot_copy_is_newest(replace(RECORD, void_token=2), (2, 5))
    assert not hot_copy_is_newest(RECORD, None)
