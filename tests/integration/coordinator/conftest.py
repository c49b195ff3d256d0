"""Retention over a real Redis, emptied for each test, and real S3 servers, whose buckets tests share."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from hashlib import md5, sha256
from pathlib import Path

import pytest

from daemon.coordinator.leader import Leadership
from daemon.coordinator.retention import Retention
from daemon.coordinator.thinning import Tally, Thinning
from daemon.core.clock import utc_now
from daemon.core.ids import new_id
from daemon.core.settings import SECTIONS, Settings
from daemon.objectstore.archives import Archives
from daemon.objectstore.body import body_of
from daemon.objectstore.catalogue import ArchiveFacts, ArchiveRef
from daemon.objectstore.store import ObjectStore
from daemon.registry.registry import Registry
from daemon.registry.tombstones import Tombstone
from daemon.sessions.record import CopyFacts, SessionRecord
from daemon.sessions.states import Desired
from tests.servers.s3 import S3Server

GRACE_MS = 60_000


def settings_for(redis_url: str, **archive: object) -> Settings:
    """Settings but for the object store, which tests give. No days are kept: midnight may pass in a test."""
    values: Mapping[str, Mapping[str, object]] = {
        "redis": {"REDIS_URL": redis_url},
        "backup": {"TOMBSTONE_GRACE_MS": GRACE_MS},
        "archive": {
            "LEGACY_ARCHIVE_PREFIX": "sessions/",
            "RETENTION_INTERVAL_MS": 3_600_000,
            "ARCHIVE_KEEP_DAYS": 0,
            **archive,
        },
    }
    return Settings(**{name: kind.model_validate(values.get(name, {})) for name, kind in SECTIONS.items()})


class Room:
    """A leading coordinator's registry and archives, and what tests put into them."""

    def __init__(self, settings: Settings, archives: Archives, bucket: ObjectStore, folder: Path) -> None:
        self.settings = settings
        self.registry = Registry(settings)
        self.archives = archives
        self.bucket = bucket
        self.leadership = Leadership(self.registry, "coordinator-of-tests", ttl_ms=600_000)
        self._folder = folder

    async def archive(self, session_id: str, token: int, generation: int, workspace_id: str = "ws") -> ArchiveRef:
        """Store an archive."""
        content = f"{session_id} {token} {generation}".encode()
        facts = ArchiveFacts(
            session_id=session_id, workspace_id=workspace_id, user_id="u", token=token, generation=generation,
            backed_up_at=utc_now(), sha256=sha256(content).hexdigest(), clean=True, chromium="1",
        )  # fmt: skip
        return await self.archives.store(facts, self._file(content), md5=md5(content).hexdigest())

    def put(self, key: str) -> str:
        """Store some other object."""
        digests = {"sha256": sha256(b"PK").hexdigest(), "md5": md5(b"PK").hexdigest()}
        with body_of(self._file(b"PK"), limit_s=lambda _: 60, **digests) as body:
            self.bucket.put_new(key, body, metadata={}, content_type="application/zip")
        return key

    def _file(self, content: bytes) -> Path:
        path = self._folder / new_id("f")
        path.write_bytes(content)
        return path

    async def session(
        self, session_id: str, newest: ArchiveRef | None, *, workspace_id: str = "ws", void_token: int = 0,
        desired: Desired = Desired.RUNNING,
    ) -> None:  # fmt: skip
        """Make a session whose record knows this archive."""
        now = utc_now()
        copy = newest and CopyFacts(
            at=now, size_bytes=newest.size_bytes, token=newest.token, generation=newest.generation, clean=True,
            content_digest="d", key=newest.key,
        )  # fmt: skip
        record = SessionRecord(
            session_id=session_id, workspace_id=workspace_id, user_id="u", created_at=now, status_at=now,
            archive=copy, void_token=void_token, desired=desired,
        )  # fmt: skip
        assert await self.registry.records.create(record)

    async def tombstone(self, session_id: str, void_token: int, *, age_ms: int = GRACE_MS + 1000) -> Tombstone:
        """End a login some time ago."""
        at = utc_now() - timedelta(milliseconds=age_ms)
        made = Tombstone(session_id=session_id, workspace_id="ws", void_token=void_token, at=at)
        await self.registry.tombstones.put(made)
        return made

    async def kept(self, session_id: str, workspace_id: str = "ws") -> list[tuple[int, int]]:
        """The orders of the archives that a session has."""
        return [ref.order for ref in await self.archives.newest_first(workspace_id, session_id)]

    async def thin(self, *, looks: int = 10**9) -> Tally:
        """Thin, leading for so many looks."""
        left = iter(range(looks))

        def may_go_on() -> bool:
            return next(left, None) is not None

        return await Thinning(self.registry, self.archives, self.settings.archive, may_go_on).run()

    def retention(self, stop: asyncio.Event | None = None) -> Retention:
        """Retention as the coordinator runs it."""
        return Retention(self.registry, self.archives, self.leadership, self.settings, stop or asyncio.Event())


@pytest.fixture(params=["swift", "r2local"])
async def room(request: pytest.FixtureRequest, redis_url: str, tmp_path: Path) -> AsyncIterator[Room]:
    """A room over each S3 server in turn."""
    server: S3Server = request.getfixturevalue(request.param)
    with ThreadPoolExecutor(4) as threads:
        made = Room(settings_for(redis_url), Archives(server.config(), threads), ObjectStore(server.config()), tmp_path)
        await made.registry.link.text.flushdb()
        assert await made.leadership.keep()
        try:
            yield made
        finally:
            await made.registry.close()


@pytest.fixture
def session_id() -> str:
    """An id that no other test uses."""
    return new_id("s")
