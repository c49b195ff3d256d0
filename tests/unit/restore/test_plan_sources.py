"""Which copy is tried first, and which never."""

from dataclasses import replace

from daemon.core.clock import utc_now
from daemon.objectstore.catalogue import ArchiveRef
from daemon.sessions.record import CopyFacts, SessionRecord
from shards.restore.plan import is_newest, plan_sources

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


def facts(token: int, generation: int) -> CopyFacts:
    return CopyFacts(at=NOW, size_bytes=1, token=token, generation=generation, clean=True, content_digest="")


def orders(
    record: SessionRecord,
    hot: tuple[int, int] | None,
    *refs: ArchiveRef,
    local: tuple[int, int] | None = None,
) -> list[tuple[str, tuple[int, int]]]:
    sources = plan_sources(record, local=local, hot_copy=hot, archives=refs)
    return [(source.place.value, source.order) for source in sources]


def test_the_highest_pair_comes_first_and_the_token_counts_more() -> None:
    assert orders(RECORD, (2, 9), archive(1, 50), archive(3, 1), archive(2, 8)) == [
        ("r2", (3, 1)),
        ("redis", (2, 9)),
        ("r2", (2, 8)),
        ("r2", (1, 50)),
    ]


def test_of_equal_copies_the_one_at_hand_comes_first() -> None:
    assert orders(RECORD, (2, 2), archive(2, 2), local=(2, 2)) == [
        ("local", (2, 2)),
        ("redis", (2, 2)),
        ("r2", (2, 2)),
    ]


def test_an_older_profile_on_disk_comes_after_newer_copies() -> None:
    assert orders(RECORD, (3, 1), archive(2, 8), local=(2, 9)) == [("redis", (3, 1)), ("local", (2, 9)), ("r2", (2, 8))]


def test_copies_of_an_ended_login_are_never_tried() -> None:
    voided = replace(RECORD, void_token=2)
    assert orders(voided, (2, 9), archive(0, 0), archive(1, 1), archive(3, 1), local=(2, 10)) == [("r2", (3, 1))]


def test_an_adopted_archive_is_tried_while_no_login_was_ended() -> None:
    assert orders(RECORD, None, archive(0, 0)) == [("r2", (0, 0))]


def test_the_stores_are_asked_unless_the_record_proves_a_copy_newest() -> None:
    known = replace(RECORD, hot_copy=facts(2, 5), archive=facts(2, 4))
    assert is_newest(known, (2, 5))
    assert is_newest(known, (2, 6)), "left clean, and its last backup could not be stored"
    assert not is_newest(known, (2, 4))
    assert not is_newest(replace(known, void_token=2), (2, 5))


def test_an_archive_that_was_begun_may_be_there() -> None:
    known = replace(RECORD, hot_copy=facts(2, 5), archive=facts(2, 4), archive_begun=(2, 6))
    assert not is_newest(known, (2, 5))
    assert is_newest(known, (2, 6))


def test_a_record_that_knows_no_copy_proves_nothing() -> None:
    assert not is_newest(RECORD, (1, 1))


def test_a_touched_profile_counts_only_above_everything_stored() -> None:
    known = replace(RECORD, hot_copy=facts(2, 5))
    assert is_newest(known, (2, 6), strictly=True)
    assert not is_newest(known, (2, 5), strictly=True)
    sources = plan_sources(RECORD, local=(2, 5), hot_copy=(2, 5), archives=[archive(2, 4)], touched=True)
    assert [source.place.value for source in sources] == ["redis", "local", "r2"]
