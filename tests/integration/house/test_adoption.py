"""What a Node service with whatsapp-web.js' RemoteAuth left in the bucket connects here without a scan.

The archive is made by the real npm package from a real profile. RemoteAuth keeps no cookies, so the page logs in from
IndexedDB alone.
"""

import json
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis

from daemon.objectstore.keys import prefix_of
from daemon.objectstore.store import ObjectStore
from tests.integration.house.commands import blazz
from tests.integration.house.conftest import Open
from tests.integration.house.house import House, random_phone, until
from tests.remoteauth import store_profile
from tests.servers.s3 import S3Server


@pytest.fixture
def node_home() -> Iterator[Path]:
    """An empty directory for the Node service."""
    with tempfile.TemporaryDirectory(prefix="n") as folder:
        yield Path(folder)


async def move_in(house: House, s3: S3Server, redis_url: str, node_home: Path, folder: str) -> tuple[str, str]:
    """Leave a linked session's profile in the bucket as RemoteAuth does, and nothing else of it anywhere.

    Returns:
        The session's id and its phone.
    """
    phone = random_phone()
    session_id = await house.link("u", phone)
    for name in (*house.shard_names, "coordinator"):
        assert await house.stop(name) == 0
    profile = house.home / "profiles" / house.shard_names[0] / "sessions" / session_id
    await store_profile(profile, node_home, s3, client_id=session_id, folder=folder)
    store = ObjectStore(s3.config())
    for item in store.list(prefix_of("1", session_id)):
        store.delete(item.key)
    redis.Redis.from_url(redis_url).flushall()
    shutil.rmtree(house.home / "profiles")
    house.receiver.events.clear()
    return session_id, phone


async def start_again(house: House) -> None:
    for name in ("coordinator", *house.shard_names):
        await house.start(name)

    async def ready() -> bool:
        try:
            return (await house.http.get("/health/ready")).status_code == 200
        except httpx.TransportError:
            return False

    await until("the coordinator is ready", ready)


async def connects_without_a_scan(house: House, session_id: str, phone: str) -> None:
    user_id = session_id.removeprefix("session-").removesuffix("-1")
    answer = await house.http.post("/api/whatsapp/sessions", json={"workspace_id": "1", "user_id": user_id})
    assert answer.status_code == 202 and answer.json()["session_id"] == session_id
    restored = await house.event(session_id, "session_restored")
    assert (restored["data"]["source"], restored["data"]["generation"]) == ("r2", 0)
    shown = await house.status(session_id, "connected")
    assert shown["restored_from"] == "r2"
    assert "qr" not in house.receiver.kinds(session_id)
    device = await house.device(phone)
    assert (device["stale_logins"], device["revoked"]) == (0, None)
    # From here on it is a session like any other, with archives of its own.
    stored = await house.archived(session_id)
    assert stored["archive"]["token"] > 0


async def test_a_remoteauth_archive_is_found_at_the_first_start(
    open_house: Open, s3: S3Server, redis_url: str, node_home: Path
) -> None:
    folder = f"node-{secrets.token_hex(4)}"
    async with open_house(LEGACY_ARCHIVE_PREFIX=f"{folder}/") as house:
        session_id, phone = await move_in(house, s3, redis_url, node_home, folder)
        await start_again(house)
        await connects_without_a_scan(house, session_id, phone)
        assert [item.key for item in ObjectStore(s3.config()).list(f"{folder}/")] == [
            f"{folder}/RemoteAuth-{session_id}.zip"
        ]


async def test_a_bucket_of_remoteauth_archives_is_adopted(
    open_house: Open, s3: S3Server, redis_url: str, node_home: Path
) -> None:
    folder = f"node-{secrets.token_hex(4)}"
    async with open_house() as house:
        session_id, phone = await move_in(house, s3, redis_url, node_home, folder)
        original = ObjectStore(s3.config()).head(f"{folder}/RemoteAuth-{session_id}.zip")
        for expected in ("adopted", "present"):
            # The id alone could be read in two ways, as the user's id has a dash.
            choice = ("--prefix", f"{folder}/", "--workspace", "1")
            code, out, err = await blazz(house, "archive", "adopt", *choice, "--json")
            assert code == 0, err
            (row,) = rows(out)
            assert (row["session_id"], row["workspace_id"], row["outcome"]) == (session_id, "1", expected)
        assert ObjectStore(s3.config()).head(original.key) == original
        await start_again(house)
        await connects_without_a_scan(house, session_id, phone)


def rows(out: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(out)["archives"]
    return found
