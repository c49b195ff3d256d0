"""`blazz keys`: what is sealed with which key, and bringing sessions at rest under the first one."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

import pytest

from daemon.core.archive_keys import archive_keys_text
from daemon.core.clock import utc_now
from daemon.core.errors import RedisUnavailableError
from daemon.core.settings import load_settings
from daemon.registry.copies import HotCopies
from daemon.registry.registry import Registry
from daemon.sessions.record import CopyFacts, SessionRecord
from shards.archive.head import read_head
from shards.archive.hot import pack_hot
from shards.archive.keyring import Keyring
from shards.archive.manifest import content_digest
from shards.leases import LeaseKeeper
from tests.integration.cli.conftest import Bench

T = TypeVar("T")

OLD, NEW = {"old": bytes(32)}, {"new": b"1" * 32}
OLD_TEXT, BOTH_TEXT = archive_keys_text(OLD), archive_keys_text(NEW | OLD)


@pytest.fixture
def registry(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[Registry], Awaitable[T]]], T]:
    """Return a function that does something with the registry."""
    for name, value in bench.environment.items():
        monkeypatch.setenv(name, value)

    async def opened(work: Callable[[Registry], Awaitable[Any]]) -> Any:
        registry = Registry(load_settings())
        try:
            return await work(registry)
        finally:
            await registry.close()

    return lambda work: asyncio.run(opened(work))


def new_session(bench: Bench, session_id: str, keys: Mapping[str, bytes]) -> Callable[[Registry], Awaitable[None]]:
    """Make a session at rest with a hot copy and an archive under token 1."""

    async def make(registry: Registry) -> None:
        now = utc_now()
        await registry.records.create(
            SessionRecord(
                session_id=session_id, workspace_id="1", user_id="u", created_at=now, status_at=now, paired=True
            )
        )
        lease = await registry.leases.acquire(session_id, "shard", floor=0)
        ref = bench.put(session_id, (lease.token, 1), keys)
        files = bench.home / f"{session_id}-{ref.order}.files"
        manifest = bench.manifest(session_id, (lease.token, 2), files)
        body = pack_hot(files, manifest, keyring=Keyring(keys), limit_bytes=10**6)
        assert body is not None
        facts = CopyFacts(
            at=now, size_bytes=len(body), token=lease.token, generation=2, clean=True,
            content_digest=content_digest(manifest.files), key_id=Keyring(keys).sealing,
        )  # fmt: skip
        await registry.copies.put(session_id, lease.token, body, facts)
        await registry.leases.release(lease)

    return make


async def stored(registry: Registry) -> tuple[SessionRecord, bytes | None]:
    return await registry.records.get("s"), await registry.copies.get("s")


def test_status_counts_what_each_key_seals(bench: Bench, registry) -> None:
    registry(new_session(bench, "s", OLD))
    registry(new_session(bench, "plain", {}))
    bench.put("s", (2, 1), NEW)
    for generation in range(2, 4):
        bench.put("s", (2, generation), NEW)
    result = bench.blazz("keys", "status", "--json", ARCHIVE_KEYS=f"unused:{'B' * 43}=,{OLD_TEXT}")
    assert result.exit_code == 0, result.output
    rows = {row["key_id"]: row for row in json.loads(result.stdout)["keys"]}
    assert [(k, r["role"], r["archives"], r["hot_copies"], r["newest_archives"]) for k, r in rows.items()] == [
        ("unused", "seals", 0, 0, 0),
        ("old", "opens", 1, 1, 0),
        ("new", "missing", 3, 0, 2),
        (None, "plain", 1, 1, 1),
    ]
    assert rows["old"]["older_archives_until"] > utc_now().date().isoformat()
    shown = bench.blazz("keys", "status", ARCHIVE_KEYS=BOTH_TEXT)
    assert "MISSING" not in shown.stdout and OLD_TEXT.partition(":")[2] not in shown.output


def test_rotate_brings_a_session_at_rest_under_the_first_key(bench: Bench, registry) -> None:
    registry(new_session(bench, "s", OLD))
    registry(new_session(bench, "plain", {}))
    before = bench.objects("workspace_1/")
    result = bench.blazz("keys", "rotate", "--json", ARCHIVE_KEYS=BOTH_TEXT)
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["counts"] == {"rotated": 2}
    assert {item.key for item in bench.objects("workspace_1/")} == {item.key for item in before} | {
        f"workspace_1/{session_id}/t00000002-g00000001.zip" for session_id in ("s", "plain")
    }
    record, body = registry(stored)
    assert body is not None and record.archive is not None and record.hot_copy is not None
    assert (record.token, record.archive.order, record.hot_copy.order) == (2, (2, 1), (2, 1))
    assert (record.archive.key_id, read_head(body).key_id, read_head(body).order) == ("new", "new", (2, 1))
    assert record.archive.clean and record.archive_begun == (2, 1)
    assert bench.blazz("archive", "verify", "--all", ARCHIVE_KEYS=BOTH_TEXT).exit_code == 0

    again = bench.blazz("keys", "rotate", "--json", ARCHIVE_KEYS=BOTH_TEXT)
    assert json.loads(again.stdout)["counts"] == {"current": 2}
    assert len(bench.objects("workspace_1/")) == 4


def test_rotate_leaves_what_it_cannot_open_and_says_so(bench: Bench, registry) -> None:
    registry(new_session(bench, "s", OLD))
    before = registry(stored)
    result = bench.blazz("keys", "rotate", ARCHIVE_KEYS=archive_keys_text(NEW))
    assert result.exit_code == 1
    assert "locked archive_key_missing s:" in result.stdout
    assert registry(stored) == before and len(bench.objects()) == 1


def test_rotate_without_a_key_is_a_wrong_setting(bench: Bench) -> None:
    result = bench.blazz("keys", "rotate")
    assert (result.exit_code, "blazz keys new" in result.stderr) == (78, True)


def test_a_rotation_that_dies_half_way_is_completed_by_the_next(
    bench: Bench, registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry(new_session(bench, "s", OLD))

    async def dies(*_: object, **__: object) -> None:
        raise RedisUnavailableError("gone")

    async def stays(*_: object) -> None:
        """A dead process does not give its lease back."""

    short = {"LEASE_TTL_MS": "3000", "LEASE_RENEW_INTERVAL_MS": "500", "LEASE_MARGIN_MS": "500"}
    with monkeypatch.context() as dying:
        dying.setattr(HotCopies, "put", dies)
        dying.setattr(LeaseKeeper, "release", stays)
        assert bench.blazz("keys", "rotate", ARCHIVE_KEYS=BOTH_TEXT, **short).exit_code == 69
    record, body = registry(stored)
    assert body is not None and read_head(body).key_id == "old"
    result = bench.blazz("keys", "rotate", "--json", ARCHIVE_KEYS=BOTH_TEXT, **short)
    assert result.exit_code == 0, result.output
    record, body = registry(stored)
    assert body is not None and record.archive is not None
    assert read_head(body).key_id == "new" and read_head(body).order == record.archive.order
