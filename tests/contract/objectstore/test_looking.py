"""Finding what is in the bucket: zips of a Node service, long listings, single objects."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from daemon.core.errors import (
    BlazzError,
    ObjectNotFoundError,
    ObjectStoreRefusedError,
    ObjectStoreUnavailableError,
)
from daemon.core.ids import new_id
from daemon.objectstore.archives import Archives
from daemon.objectstore.config import ObjectStoreConfig
from daemon.objectstore.store import ObjectStore
from tests.contract.objectstore.conftest import Answer, Script, Scripted, body_of, s3_error, with_wrong

ETAG = '"841a2d689ad86bd1611447453c22c6fc"'


@pytest.fixture
def archives(config: ObjectStoreConfig, executor: ThreadPoolExecutor) -> Archives:
    return Archives(config, executor)


@pytest.fixture
def session_id() -> str:
    return new_id("s")


def put(store: ObjectStore, key: str, content: bytes = b"PK") -> None:
    store.put_new(key, body_of(content), metadata={"clean": "true"}, content_type="application/zip")


@pytest.mark.parametrize(
    ("key", "prefix"),
    [
        ("workspace_7/{}.zip", ""),
        ("workspace_7/RemoteAuth-{}.zip", ""),
        ("workspace_7/{0}/RemoteAuth-{0}.zip", ""),
        ("RemoteAuth-{}.zip", ""),
        ("sessions/RemoteAuth-{}.zip", "sessions/"),
        ("sessions/old/RemoteAuth-{}.zip", "sessions/old"),
        ("sessions/workspace_7/{}.zip", "sessions/"),
        ("sessions/workspace_7/{0}/RemoteAuth-{0}.zip", "sessions/"),
    ],
)
async def test_a_zip_of_a_node_service_is_found(
    archives: Archives, store: ObjectStore, session_id: str, key: str, prefix: str
) -> None:
    put(store, key.format(session_id), b"PK12")
    (found,) = await archives.find_legacy("7", session_id, prefix)
    assert (found.key, found.order, found.size_bytes, found.legacy) == (key.format(session_id), (0, 0), 4, True)
    assert (found.session_id, found.workspace_id) == (session_id, "7")
    assert await archives.newest_first("7", session_id) == ()


async def test_of_several_the_last_stored_comes_first(archives: Archives, store: ObjectStore, session_id: str) -> None:
    for key in ("RemoteAuth-{}.zip", "workspace_7/{}.zip"):
        put(store, key.format(session_id))
    times = [ref.stored_at for ref in await archives.find_legacy("7", session_id, "")]
    assert len(times) == 2 and times == sorted(times, reverse=True)


async def test_of_another_session_or_workspace_nothing_is_found(
    archives: Archives, store: ObjectStore, session_id: str
) -> None:
    for key in ("workspace_8/{}.zip", "workspace_7/{}x.zip", "other/RemoteAuth-{}.zip", "RemoteAuth-x{}.zip"):
        put(store, key.format(session_id))
    assert await archives.find_legacy("7", session_id, "sessions/") == ()


async def test_no_legacy_zip_costs_one_look_each_and_one_at_the_bucket(archives: Archives, session_id: str) -> None:
    assert await archives.find_legacy("7", session_id, "") == ()
    assert (archives.usage().class_a, archives.usage().class_b) == (0, 5)


async def test_a_legacy_zip_in_a_missing_bucket_or_without_permission_is_not_absent(
    config: ObjectStoreConfig, executor: ThreadPoolExecutor, session_id: str
) -> None:
    for wrong, expected in (
        ({"bucket": "no-such-bucket"}, ObjectStoreRefusedError),
        ({"secret_key": "wrong-secret-key-000"}, ObjectStoreRefusedError),
        ({"endpoint": "http://127.0.0.1:1"}, ObjectStoreUnavailableError),
    ):
        with pytest.raises(expected):
            await Archives(with_wrong(config, **wrong), executor).find_legacy("7", session_id, "")


@pytest.mark.parametrize("place", range(4))
@pytest.mark.parametrize(
    "bad",
    [s3_error(503, "SlowDown"), s3_error(403, "AccessDenied"), Answer(200, b"<html>", "text/html"), Answer(hang=True)],
    ids=["503", "403", "html", "silent"],
)
async def test_one_look_that_fails_is_never_an_absence(
    scripted: Script, executor: ThreadPoolExecutor, place: int, bad: Answer
) -> None:
    absent = s3_error(404, "NoSuchKey")
    server = scripted(*[absent] * place, bad)
    with pytest.raises(BlazzError) as raised:
        await Archives(server.config, executor).find_legacy("7", "s", "")
    assert not isinstance(raised.value, ObjectNotFoundError)


async def test_a_zip_that_appears_while_it_is_looked_for_is_not_absent(
    scripted: Script, executor: ThreadPoolExecutor
) -> None:
    server = scripted(*[s3_error(404, "NoSuchKey")] * 4, Answer(200, b"PK", ETag=ETAG))
    with pytest.raises(ObjectStoreUnavailableError):
        await Archives(server.config, executor).find_legacy("7", "s", "")


async def test_objects_come_page_by_page(
    archives: Archives, store: ObjectStore, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = [f"{prefix}{name}" for name in ("a", "a-b/1", "a/1", "a/2", "b +%&ü")]
    for key in keys:
        put(store, key)
    monkeypatch.setattr("daemon.objectstore.store._PAGE_OBJECTS", 2)
    assert [item.key async for item in archives.objects(prefix)] == keys
    assert archives.usage().class_a == 3
    assert [item.key async for item in archives.objects(prefix + "none")] == []


async def test_facts_of_one_object(archives: Archives, store: ObjectStore, prefix: str) -> None:
    put(store, prefix + "a", b"abc")
    facts = await archives.facts(prefix + "a")
    assert (facts.size_bytes, facts.metadata["clean"]) == (3, "true")
    with pytest.raises(ObjectNotFoundError):
        await archives.facts(prefix + "none")


def page(keys: list[str], token: str | None) -> Answer:
    """A page of a listing."""
    items = "".join(
        f"<Contents><Key>{key}</Key><Size>1</Size><ETag>e</ETag>"
        "<LastModified>2026-11-23T02:00:00Z</LastModified></Contents>"
        for key in keys
    )
    more = f"<NextContinuationToken>{token}</NextContinuationToken>" if token else ""
    text = f"<ListBucketResult><IsTruncated>{str(bool(token)).lower()}</IsTruncated>{items}{more}</ListBucketResult>"
    return Answer(200, text.encode())


async def test_a_listing_that_breaks_off_is_an_error_not_an_end(scripted: Script, executor: ThreadPoolExecutor) -> None:
    async def listed(server: Scripted) -> list[str]:
        return [item.key async for item in Archives(server.config, executor).objects("")]

    for bad in (
        s3_error(503, "SlowDown"),
        Answer(hang=True),
        Answer(200, b"<html>", "text/html"),
        page(["b"], "again"),
    ):
        with pytest.raises((ObjectStoreUnavailableError, ObjectStoreRefusedError)):
            await listed(scripted(page(["a"], "again"), bad))
    assert await listed(scripted(page(["a"], "2"), page(["b"], "3"), page([], None))) == ["a", "b"]
