"""Marks and the census on real S3 servers, and what becomes of them when a server fails."""

from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from hashlib import md5, sha256
from pathlib import Path

import pytest

from daemon.core.clock import utc_now
from daemon.core.errors import (
    ArchiveDamagedError,
    BlazzError,
    DamagedError,
    ObjectNotFoundError,
    ObjectStoreRefusedError,
    ObjectStoreUnavailableError,
)
from daemon.core.ids import new_id
from daemon.objectstore.archives import Archives
from daemon.objectstore.catalogue import ArchiveFacts, ArchiveRef
from daemon.objectstore.census import census
from daemon.objectstore.config import ObjectStoreConfig
from daemon.objectstore.facts import ObjectFacts
from daemon.objectstore.found import CensusTally
from daemon.objectstore.marks import Mark, mark_key
from daemon.objectstore.store import ObjectStore
from daemon.sessions.known import KnownSession
from daemon.sessions.states import Desired
from tests.contract.objectstore.conftest import Answer, Script, body_of, s3_error, with_wrong

AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.fixture
def archives(config: ObjectStoreConfig, executor: ThreadPoolExecutor) -> Archives:
    return Archives(config, executor)


@pytest.fixture
def workspace_id() -> str:
    """A workspace that no other test uses, so that its sessions can be told from theirs."""
    return new_id("w")


@pytest.fixture
def add(archives: Archives, workspace_id: str, tmp_path: Path):
    """Store an archive of a session."""

    async def store(session_id: str, token: int, generation: int, *, user_id: str = "u") -> ArchiveRef:
        content = f"{session_id} {token} {generation}".encode()
        path = tmp_path / new_id("f")
        path.write_bytes(content)
        facts = ArchiveFacts(
            session_id=session_id, workspace_id=workspace_id, user_id=user_id, token=token, generation=generation,
            backed_up_at=AT, sha256=sha256(content).hexdigest(), clean=True, chromium="1",
        )  # fmt: skip
        return await archives.store(facts, path, md5=md5(content).hexdigest())

    return store


def mark(desired: Desired, void_token: int = 0) -> Mark:
    return Mark(desired=desired, void_token=void_token, at=AT)


async def count(archives: Archives, workspace_id: str, **options: object) -> dict[str, KnownSession]:
    """The sessions of one workspace, as a census finds them."""
    found = [known async for known in census(archives, **options) if known.workspace_id == workspace_id]
    by = {known.session_id: known for known in found}
    assert len(by) == len(found)
    return by


async def test_a_mark_is_written_over_and_can_be_removed(archives: Archives, workspace_id: str) -> None:
    assert await archives.get_mark(workspace_id, "s") is None
    for written in (mark(Desired.STOPPED), mark(Desired.DELETED, 7), mark(Desired.DELETED, 7)):
        await archives.put_mark(workspace_id, "s", written)
        assert await archives.get_mark(workspace_id, "s") == written
    await archives.drop_mark(workspace_id, "s")
    await archives.drop_mark(workspace_id, "s")
    assert await archives.get_mark(workspace_id, "s") is None


async def test_a_mark_is_no_archive(archives: Archives, add, workspace_id: str) -> None:
    ref = await add("s", 1, 1)
    await archives.put_mark(workspace_id, "s", mark(Desired.STOPPED))
    assert [found.key for found in await archives.newest_first(workspace_id, "s")] == [ref.key]


async def test_a_session_is_known_by_its_newest_archive_and_its_user_by_the_metadata(
    archives: Archives, add, workspace_id: str
) -> None:
    await add("s", 3, 1, user_id="old")
    await add("s", 3, 2, user_id="12-new")
    await add("s", 2, 9, user_id="older")
    assert await count(archives, workspace_id) == {
        "s": KnownSession(session_id="s", workspace_id=workspace_id, user_id="12-new", newest=(3, 2), backed_up_at=AT)
    }


async def test_a_mark_says_what_was_wanted(archives: Archives, add, workspace_id: str) -> None:
    for session_id in ("running", "stopped", "deleted", "out", "again", "in-again"):
        await add(session_id, 5, 1)
    await archives.put_mark(workspace_id, "stopped", mark(Desired.STOPPED))
    await archives.put_mark(workspace_id, "deleted", mark(Desired.DELETED, 5))
    await archives.put_mark(workspace_id, "out", mark(Desired.RUNNING, 5))
    await archives.put_mark(workspace_id, "again", mark(Desired.DELETED, 4))
    await archives.put_mark(workspace_id, "in-again", mark(Desired.RUNNING, 4))
    await archives.put_mark(workspace_id, "only-a-mark", mark(Desired.DELETED, 2))
    found = await count(archives, workspace_id)
    said = {name: (known.desired, known.void_token, known.restorable, known.marked) for name, known in found.items()}
    assert said == {
        "running": (None, 0, True, None),
        "stopped": (Desired.STOPPED, 0, True, "stopped:0"),
        "deleted": (Desired.DELETED, 5, False, "deleted:5"),
        "out": (Desired.RUNNING, 5, False, "running:5"),
        # A session of this id was made again after the delete.
        "again": (Desired.RUNNING, 4, True, "deleted:4"),
        "in-again": (Desired.RUNNING, 4, True, "running:4"),
        "only-a-mark": (Desired.DELETED, 2, False, "deleted:2"),
    }
    assert found["deleted"].wished_at == AT
    assert found["only-a-mark"].newest is None


async def test_a_mark_that_cannot_be_read_counts_as_stopped(
    archives: Archives, store: ObjectStore, add, workspace_id: str
) -> None:
    await add("s", 1, 1)
    store.small.put(mark_key(workspace_id, "s"), b"what?", content_type="application/json")
    with pytest.raises(DamagedError):
        await archives.get_mark(workspace_id, "s")
    tallies: list[CensusTally] = []
    found = await count(archives, workspace_id, progress=tallies.append)
    assert found["s"].desired is Desired.STOPPED
    assert tallies[-1].unreadable >= 1


async def test_what_another_service_left_is_known_where_names_tell_whose_it_is(
    archives: Archives, store: ObjectStore, add, workspace_id: str
) -> None:
    folder = new_id("old")
    await add("session-1-x", 1, 1)
    for key, metadata in {
        f"workspace_{workspace_id}/RemoteAuth-session-1-x.zip": {},
        f"workspace_{workspace_id}/session-2-{workspace_id}.zip": {},
        f"{folder}/workspace_{workspace_id}/RemoteAuth-named.zip": {"user-id": "77"},
        f"{folder}/RemoteAuth-nobodys.zip": {},
    }.items():
        store.put_new(key, body_of(b"PK"), metadata=metadata, content_type="application/zip")
    found = await count(archives, workspace_id, legacy_prefix=folder)
    assert {name: (known.user_id, known.newest, known.restorable) for name, known in found.items()} == {
        "session-1-x": ("u", (1, 1), True),
        f"session-2-{workspace_id}": ("2", (0, 0), True),
        "named": ("77", (0, 0), True),
    }


async def test_progress_is_told_and_a_census_can_be_given_up(archives: Archives, add, workspace_id: str) -> None:
    for number in range(12):
        await add(f"s{number}", 1, 1)
    tallies: list[int] = []
    found = census(archives, parallel=3, progress=lambda tally: tallies.append(tally.sessions))
    assert [(await anext(found)) for _ in range(2)]
    await found.aclose()
    assert tallies == [1, 2]


class Vanishing(Archives):
    """Archives of which some are removed between the listing and the question."""

    gone: frozenset[str] = frozenset()

    async def facts(self, key: str) -> ObjectFacts:
        if key in self.gone:
            raise ObjectNotFoundError("no such object", key=key)
        return await super().facts(key)

    async def newest_first(self, workspace_id: str, session_id: str) -> tuple[ArchiveRef, ...]:
        refs = await super().newest_first(workspace_id, session_id)
        return tuple(ref for ref in refs if ref.key not in self.gone)


async def test_an_archive_that_is_removed_meanwhile_leaves_the_next_one(
    config: ObjectStoreConfig, executor: ThreadPoolExecutor, add, workspace_id: str
) -> None:
    refs = [await add("s", 1, generation) for generation in (1, 2)]
    only = await add("only", 1, 1)
    archives = Vanishing(config, executor)
    archives.gone = frozenset({refs[1].key, only.key})
    found = await count(archives, workspace_id)
    assert {name: known.newest for name, known in found.items()} == {"s": (1, 1)}


class Listing(Archives):
    """A listing that breaks off after some objects."""

    async def objects(self, prefix: str) -> AsyncIterator[ObjectFacts]:  # type: ignore[override]
        yield ObjectFacts(key="workspace_7/a/mark.json", size_bytes=1, etag="e", stored_at=utc_now())
        raise ObjectStoreUnavailableError("away")


async def test_a_listing_that_breaks_off_is_an_error(config: ObjectStoreConfig, executor: ThreadPoolExecutor) -> None:
    with pytest.raises(ObjectStoreUnavailableError):
        [known async for known in census(Listing(config, executor))]


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (s3_error(503, "SlowDown"), ObjectStoreUnavailableError),
        (s3_error(403, "AccessDenied"), ObjectStoreRefusedError),
        (s3_error(404, "NoSuchBucket"), ObjectStoreRefusedError),
        (Answer(200, b"<html>"), ObjectStoreRefusedError),
        (Answer(hang=True), ObjectStoreUnavailableError),
    ],
)
async def test_a_store_that_fails_is_never_an_empty_bucket_and_a_mark_never_absent(
    scripted: Script, executor: ThreadPoolExecutor, answer: Answer, error: type[BlazzError]
) -> None:
    archives = Archives(scripted(answer).config, executor)
    with pytest.raises(error):
        [known async for known in census(archives)]
    if answer.status != 200 or answer.hang:
        with pytest.raises(error):
            await archives.get_mark("7", "s")
        with pytest.raises(error):
            await archives.put_mark("7", "s", mark(Desired.STOPPED))


async def test_wrong_credentials_are_a_refusal(config: ObjectStoreConfig, executor: ThreadPoolExecutor) -> None:
    archives = Archives(with_wrong(config, secret_key="wrong-secret-of-tests"), executor)
    with pytest.raises(ObjectStoreRefusedError):
        [known async for known in census(archives)]


async def test_a_mark_is_received_whole_and_of_its_size_or_not_at_all(
    scripted: Script, executor: ThreadPoolExecutor
) -> None:
    cut = Archives(scripted(Answer(200, b"{", cut=True, ETag='"e"', Content_Length="50")).config, executor)
    with pytest.raises(ObjectStoreUnavailableError):
        await cut.get_mark("7", "s")
    large = Archives(scripted(Answer(200, b"x" * 5000, ETag='"e"')).config, executor)
    with pytest.raises(ArchiveDamagedError):
        await large.get_mark("7", "s")
    other = Archives(scripted(Answer(200, b"", ETag='"00000000000000000000000000000000"')).config, executor)
    with pytest.raises(ArchiveDamagedError):
        await other.put_mark("7", "s", mark(Desired.STOPPED))
