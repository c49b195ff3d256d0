"""The archive catalogue and its asyncio side, on real servers."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest

from daemon.core.clock import utc_now
from daemon.core.errors import ArchiveDamagedError, ObjectExistsError, ObjectNotFoundError, ObjectStoreUnavailableError
from daemon.core.ids import new_id
from daemon.objectstore.archives import Archives
from daemon.objectstore.catalogue import ArchiveFacts, Catalogue
from daemon.objectstore.config import ObjectStoreConfig
from daemon.objectstore.store import ObjectStore
from tests.contract.objectstore.conftest import body_of, md5_of, with_wrong

BODY = b"an archive"


def facts(session_id: str, token: int, generation: int, body: bytes = BODY) -> ArchiveFacts:
    return ArchiveFacts(
        session_id=session_id,
        workspace_id="ws_1",
        user_id="42",
        token=token,
        generation=generation,
        backed_up_at=utc_now(),
        sha256=sha256(body).hexdigest(),
        clean=True,
        chromium="156.0.8078.79",
    )


@pytest.fixture
def session_id() -> str:
    return new_id("s")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "archive.zip"
    path.write_bytes(BODY)
    return path


def test_newest_first_is_by_token_then_generation(
    catalogue: Catalogue, session_id: str, source: Path, tmp_path: Path
) -> None:
    for order in ((1, 9), (10, 1), (2, 3), (100_000_000, 0)):
        catalogue.store(facts(session_id, *order), source, md5=md5_of(BODY))
    catalogue.store(facts(session_id + "x", 500, 1), source, md5=md5_of(BODY))
    refs = catalogue.newest_first("ws_1", session_id)
    assert [ref.order for ref in refs] == [(100_000_000, 0), (10, 1), (2, 3), (1, 9)]
    catalogue.fetch(refs[0], tmp_path / "fetched")
    assert (tmp_path / "fetched").read_bytes() == BODY


def test_metadata_is_as_documented(catalogue: Catalogue, store: ObjectStore, session_id: str, source: Path) -> None:
    ref = catalogue.store(facts(session_id, 1, 1), source, md5=md5_of(BODY))
    assert ref.key == f"workspace_ws_1/{session_id}/t00000001-g00000001.zip"
    metadata = store.head(ref.key).metadata
    assert metadata.keys() == {"user-id", "workspace-id", "backed-up-at", "sha256", "clean", "chromium"}
    assert (metadata["clean"], metadata["workspace-id"], metadata["chromium"]) == ("true", "ws_1", "156.0.8078.79")


def test_two_archives_cannot_share_token_and_generation(catalogue: Catalogue, session_id: str, source: Path) -> None:
    catalogue.store(facts(session_id, 1, 1), source, md5=md5_of(BODY))
    source.write_bytes(b"other")
    with pytest.raises(ObjectExistsError):
        catalogue.store(facts(session_id, 1, 1, b"other"), source, md5=md5_of(b"other"))


def test_objects_with_other_names_are_passed_over(catalogue: Catalogue, store: ObjectStore, session_id: str) -> None:
    for name in (f"{session_id}/notes.txt", f"{session_id}/t1-g1.zip", f"{session_id}.zip"):
        store.put_new(f"workspace_ws_1/{name}", body_of(b"x"), metadata={}, content_type="text/plain")
    assert catalogue.newest_first("ws_1", session_id) == ()


async def test_archives_do_the_same_for_asyncio(
    config: ObjectStoreConfig, executor: ThreadPoolExecutor, session_id: str, source: Path, tmp_path: Path
) -> None:
    archives = Archives(config, executor)
    ref = await archives.store(facts(session_id, 3, 1), source, md5=md5_of(BODY))
    assert [found.key for found in await archives.newest_first("ws_1", session_id)] == [ref.key]
    await archives.fetch(ref, tmp_path / "fetched")
    assert (tmp_path / "fetched").read_bytes() == BODY
    assert (await archives.facts(ref.key)).metadata["user-id"] == "42"
    health = await archives.health()
    assert health.connected and health.sample_object is not None and health.bucket == config.bucket
    await archives.delete(ref)
    with pytest.raises(ObjectNotFoundError):
        await archives.fetch(ref, tmp_path / "again")
    usage = archives.usage()
    assert (usage.class_a, usage.deletes, usage.sent_bytes) == (2, 1, len(BODY))


async def test_an_unreachable_store_is_never_an_empty_one(
    config: ObjectStoreConfig, executor: ThreadPoolExecutor, session_id: str
) -> None:
    archives = Archives(with_wrong(config, endpoint="http://127.0.0.1:1"), executor)
    with pytest.raises(ObjectStoreUnavailableError):
        await archives.newest_first("ws_1", session_id)
    health = await archives.health()
    assert not health.connected and health.error


def test_a_listing_of_another_size_than_the_object_is_damage(
    catalogue: Catalogue, session_id: str, source: Path, tmp_path: Path
) -> None:
    ref = catalogue.store(facts(session_id, 1, 1), source, md5=md5_of(BODY))
    with pytest.raises(ArchiveDamagedError, match="another size"):
        catalogue.fetch(replace(ref, size_bytes=3), tmp_path / "fetched")
