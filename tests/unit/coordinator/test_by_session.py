"""Archives of a listing, gathered by session."""

from collections.abc import AsyncIterator, Iterable
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.coordinator.thinning import by_session
from daemon.objectstore.catalogue import ArchiveRef
from daemon.objectstore.facts import ObjectFacts
from daemon.objectstore.keys import ArchiveName, key_of

STORED_AT = datetime(2026, 11, 23, tzinfo=UTC)
awkward_ids = st.text(alphabet="aZ0-_", min_size=1, max_size=3).filter(lambda text: text[0] not in "-_")
names = st.builds(
    ArchiveName,
    workspace_id=awkward_ids,
    session_id=awkward_ids,
    token=st.integers(0, 10**9),
    generation=st.integers(0, 3),
)


async def listing(keys: Iterable[str]) -> AsyncIterator[ObjectFacts]:
    for key in keys:
        yield ObjectFacts(key=key, size_bytes=1, etag="e", stored_at=STORED_AT)


async def gathered(keys: Iterable[str]) -> list[tuple[ArchiveRef, ...]]:
    return [refs async for refs in by_session(listing(keys))]


@given(st.sets(names, max_size=40), st.sets(st.sampled_from(["workspace_a/a.zip", "workspace_a/a/RemoteAuth-a.zip",
       "workspace_a/a-.zip", "workspace_a/a/t1.zip", "workspace_a/a/x/y", "workspace_"])))  # fmt: skip
async def test_each_session_comes_once_and_whole_whatever_ids_look_like(
    found: set[ArchiveName], others: set[str]
) -> None:
    groups = await gathered(sorted([*others, *(key_of(name) for name in found)]))
    assert sorted(ref.key for refs in groups for ref in refs) == sorted(key_of(name) for name in found)
    sessions = [(refs[0].workspace_id, refs[0].session_id) for refs in groups]
    assert len(set(sessions)) == len(sessions)
    for session, refs in zip(sessions, groups, strict=True):
        assert all((ref.workspace_id, ref.session_id) == session for ref in refs)


async def test_an_id_that_another_one_begins_with_does_not_split_it() -> None:
    keys = sorted(
        f"workspace_1/{session}/t0000000{number}-g00000001.zip" for session in ("a", "a-b", "a0") for number in (1, 2)
    )
    assert [(refs[0].session_id, len(refs)) for refs in await gathered(keys)] == [("a-b", 2), ("a", 2), ("a0", 2)]


async def test_an_unfinished_listing_gives_no_unfinished_session() -> None:
    async def broken() -> AsyncIterator[ObjectFacts]:
        async for item in listing(f"workspace_1/{session}/t00000001-g00000001.zip" for session in "ab"):
            yield item
        raise ConnectionError

    got = []
    with pytest.raises(ConnectionError):
        async for refs in by_session(broken()):
            got.append(refs[0].session_id)
    assert got == ["a"]
