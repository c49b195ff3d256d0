"""What a listing shows of each session, in whatever order another service's zips come."""

from collections.abc import AsyncIterator, Iterable
from datetime import UTC, datetime, timedelta

from daemon.objectstore.facts import ObjectFacts
from daemon.objectstore.found import CensusTally, Found, by_who
from daemon.objectstore.legacy import legacy_keys, legacy_prefixes

AT = datetime(2026, 1, 1, tzinfo=UTC)


async def listed(keys: Iterable[str]) -> AsyncIterator[ObjectFacts]:
    for number, key in enumerate(sorted(keys)):
        yield ObjectFacts(key=key, size_bytes=1, etag="e", stored_at=AT + timedelta(seconds=number))


async def found(*keys: str, prefix: str = "") -> tuple[dict[tuple[str, str], Found], CensusTally]:
    tally = CensusTally()
    sessions = [one async for one in by_who(listed(keys), prefix, tally)]
    by = {one.who: one for one in sessions}
    assert len(by) == len(sessions), "a session came twice"
    return by, tally


def test_every_name_of_a_legacy_zip_is_listed_once() -> None:
    for prefix in ("", "old", "old/", "workspace_9/x", "a/b/"):
        starts = ("workspace_", *legacy_prefixes(prefix))
        for key in legacy_keys("7", "s", prefix):
            assert len([start for start in starts if key.startswith(start)]) == 1, (prefix, key)


async def test_the_newest_archive_is_the_highest_by_number() -> None:
    by, tally = await found(
        "workspace_7/s/t00000002-g00000009.zip", "workspace_7/s/t00000010-g00000001.zip",
        "workspace_7/s/t123456789-g00000001.zip", "workspace_7/s/mark.json", "workspace_7/s/other.txt",
    )  # fmt: skip
    one = by["7", "s"]
    assert one.newest is not None and one.newest.order == (123456789, 1)
    assert one.marked
    assert (tally.objects, tally.skipped) == (5, 1)


async def test_ids_that_begin_alike_are_told_apart() -> None:
    keys = [f"workspace_{w}/{s}/t00000001-g00000001.zip" for w in ("1", "11", "1-1") for s in ("a", "a-b", "ab", "A")]
    by, _ = await found(*keys, "workspace_1/a.zip", "workspace_1/a-b/mark.json")
    assert len(by) == 12
    assert [who for who, one in by.items() if one.marked] == [("1", "a-b")]


async def test_a_legacy_zip_counts_only_where_there_is_no_archive() -> None:
    # `RemoteAuth-` sorts after A and before a, and `.zip` before `/`.
    by, tally = await found(
        *(f"workspace_7/{s}/t00000001-g00000001.zip" for s in ("A", "a")),
        *(f"workspace_7/RemoteAuth-{s}.zip" for s in ("A", "a", "alone")),
        *(f"workspace_7/{s}.zip" for s in ("A", "a", "other")),
        "workspace_7/marked/mark.json", "workspace_7/marked.zip", "workspace_8/only/mark.json",
    )  # fmt: skip
    assert tally.skipped == 0
    assert {who[1] for who, one in by.items() if one.newest} == {"A", "a"}
    assert {who[1] for who, one in by.items() if one.newest is None and one.legacy} == {"alone", "other", "marked"}
    assert {who[1] for who, one in by.items() if one.marked} == {"marked", "only"}


async def test_of_several_legacy_zips_the_last_stored_counts() -> None:
    by, _ = await found("workspace_7/s.zip", "workspace_7/RemoteAuth-s.zip", "workspace_7/s/RemoteAuth-s.zip")
    one = by["7", "s"].legacy
    assert one is not None and one.key == "workspace_7/s/RemoteAuth-s.zip"


async def test_zips_that_no_restore_would_look_for_are_nobodys() -> None:
    by, tally = await found(
        "old/RemoteAuth-session-1-7.zip", "elsewhere/RemoteAuth-session-1-7.zip", "old/RemoteAuth-strange.zip",
        "old/workspace_7/s.zip", "old/deep/workspace_7/t.zip", "workspace_7/x/y.zip",
        prefix="old",
    )  # fmt: skip
    assert set(by) == {("7", "session-1-7"), ("7", "s")}
    assert tally.skipped == 4
