"""Which copy of a session is used, what is said about it, and what it looks like where it is stored."""

import asyncio
import base64
import io
import json
import secrets
import signal
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import redis

from daemon.core.clock import utc_now
from daemon.objectstore.archives import Archives
from daemon.objectstore.catalogue import ArchiveFacts
from daemon.registry import keys
from shards.archive.describing import ManifestFacts, describe
from shards.archive.keyring import Keyring
from shards.archive.pack import pack
from tests.integration.house.conftest import Open
from tests.integration.house.house import FULL_CHROMIUM, House, random_phone
from tests.servers.s3 import S3Server


def new_key(key_id: str) -> str:
    return f"{key_id}:{base64.b64encode(secrets.token_bytes(32)).decode()}"


async def fetched(s3: S3Server, session_id: str, into: Path) -> list[bytes]:
    """Return the archives of a session, newest first."""
    with ThreadPoolExecutor(1) as threads:
        archives = Archives(s3.config(), threads)
        found = []
        for at, ref in enumerate(await archives.newest_first("1", session_id)):
            await archives.fetch(ref, into / str(at))
            found.append((into / str(at)).read_bytes())
        return found


async def test_a_start_on_the_same_shard_uses_the_profile_left_clean_and_asks_no_store(
    open_house: Open, redis_url: str
) -> None:
    async with open_house(CHROMIUM_PATH=FULL_CHROMIUM) as house:
        phone = random_phone()
        session_id = await house.link("u", phone)
        assert await house.stop("shard_00") == 0
        redis.Redis.from_url(redis_url).delete(keys.hot_copy(session_id))
        left = (await house.session(session_id))["archive"]
        await house.start("shard_00")
        restored = (await house.event(session_id, "session_restored"))["data"]
        assert (restored["source"], restored["generation"]) == ("local", left["generation"])
        assert (await house.device(phone))["stale_logins"] == 0


async def test_a_profile_left_by_a_killed_chromium_is_not_used_while_there_are_copies(open_house: Open) -> None:
    async with open_house(CHROMIUM_PATH=FULL_CHROMIUM) as house:
        session_id = await house.link("u", random_phone())
        assert await house.stop("shard_00") == 0
        await house.start("shard_00")
        await house.event(session_id, "session_restored")
        await house.stop("shard_00", signal.SIGKILL)
        await house.start("shard_00")
        assert (await house.event(session_id, "session_restored", 2))["data"]["source"] == "redis"


async def test_a_session_too_large_for_redis_says_so_and_is_archived_at_login(open_house: Open) -> None:
    settings = {"SESSION_HOT_COPY_MAX_BYTES": "10000", "SESSION_SETTLE_MS": "60000"}
    async with open_house(**settings) as house:
        phone = random_phone()
        session_id = await house.create("u")
        await house.scan(session_id, phone)
        await house.event(session_id, "ready")  # told once the copy of the connected session is stored
        await house.event(session_id, "backup_completed")
        shown = await house.session(session_id)
        assert (shown["hot_copy"], shown["hot_copy_reason"]) == (None, "too_large")
        await house.stop("shard_00", signal.SIGKILL)
        await house.start("shard_00")
        assert (await house.event(session_id, "session_restored"))["data"]["source"] == "r2"
        assert (await house.device(phone))["stale_logins"] == 0


async def test_with_keys_nothing_readable_is_stored_and_a_missing_key_is_named(
    open_house: Open, redis_url: str, s3: S3Server, tmp_path: Path
) -> None:
    old, new = new_key("old"), new_key("new")
    async with open_house(ARCHIVE_KEYS=old) as house:
        session_id = await house.link("u", random_phone())
        assert await house.stop("shard_00") == 0
        house.wipe_profiles()
        hot_copy = redis.Redis.from_url(redis_url).get(keys.hot_copy(session_id)) or b""
        for body in (hot_copy, *await fetched(s3, session_id, tmp_path)):
            assert body and not zipfile.is_zipfile(io.BytesIO(body)) and b"IndexedDB" not in body
        house.change(ARCHIVE_KEYS=new)
        await house.start("shard_00")
        shown = await house.status(session_id, "failed")
        assert shown["reason"] == "archive_key_missing"
        told = (await house.event(session_id, "restore_failed"))["data"]
        assert (told["code"], told["trying_older"]) == ("archive_key_missing", False)
        assert old.partition(":")[2] not in house.logs()
        await house.stop("shard_00")
        house.change(ARCHIVE_KEYS=f"{new},{old}")
        await house.start("shard_00")
        await house.event(session_id, "session_restored")
        await house.status(session_id, "connected")
        assert house.receiver.kinds(session_id).count("qr") == 1


async def test_a_copy_of_a_newer_chromium_is_refused_and_nothing_older_is_used(
    open_house: Open, redis_url: str, s3: S3Server, tmp_path: Path
) -> None:
    async with open_house() as house:
        session_id = await house.link("u", random_phone())
        assert await house.stop("shard_00") == 0
        house.wipe_profiles()
        redis.Redis.from_url(redis_url).delete(keys.hot_copy(session_id))
        await store_of_newer_chromium(s3, house, session_id, tmp_path)
        await house.start("shard_00")
        shown = await house.status(session_id, "failed")
        assert shown["reason"] == "archive_chromium_newer"
        told = (await house.event(session_id, "restore_failed"))["data"]
        assert (told["source"], told["code"], told["trying_older"]) == ("r2", "archive_chromium_newer", False)
        assert house.receiver.kinds(session_id).count("qr") == 1


async def store_of_newer_chromium(s3: S3Server, house: House, session_id: str, folder: Path) -> None:
    """Store an archive above all others that a Chromium of the future wrote."""
    (folder / "files" / "Default").mkdir(parents=True)
    (folder / "files" / "Default" / "Cookies").write_bytes(b"of the future")
    facts = ManifestFacts(
        session_id=session_id, workspace_id="1", user_id="u", token=99, generation=1,
        created_at=utc_now(), chromium="999.0.0.0", clean=True,
    )  # fmt: skip
    packed = pack(folder / "files", describe(folder / "files", facts), folder / "zip", keyring=Keyring({}))
    with ThreadPoolExecutor(1) as threads:
        await Archives(s3.config(), threads).store(
            ArchiveFacts(
                session_id=session_id, workspace_id="1", user_id="u", token=99, generation=1,
                backed_up_at=facts.created_at, sha256=packed.sha256, clean=True, chromium="999.0.0.0",
            ),
            folder / "zip",
            md5=packed.md5,
        )  # fmt: skip


async def test_a_session_killed_one_second_after_authenticated_comes_back_without_a_scan(open_house: Open) -> None:
    async with open_house() as house:
        house.standin.options.sync_ms = 6_000
        session_id = await house.create("u")
        await house.scan(session_id, random_phone())
        await house.event(session_id, "authenticated")
        await asyncio.sleep(1.0)  # what is tested is a crash at this moment
        await house.stop("shard_00", signal.SIGKILL)
        house.wipe_profiles()
        await house.start("shard_00")
        await house.event(session_id, "session_restored")
        assert house.receiver.kinds(session_id).count("qr") == 1


async def test_a_crash_as_soon_as_authenticated_is_told_costs_no_scan(open_house: Open) -> None:
    async with open_house() as house:
        house.standin.options.sync_ms = 6_000
        session_id = await house.create("u")
        await house.scan(session_id, random_phone())
        await house.event(session_id, "authenticated")
        await house.stop("shard_00", signal.SIGKILL)
        house.wipe_profiles()
        await house.start("shard_00")
        await house.event(session_id, "session_restored")
        assert house.receiver.kinds(session_id).count("qr") == 1


async def test_a_profile_that_a_newer_chromium_left_as_the_newest_state_is_refused(open_house: Open) -> None:
    async with open_house(CHROMIUM_PATH=FULL_CHROMIUM) as house:
        session_id = await house.link("u", random_phone())
        assert await house.stop("shard_00") == 0
        mark = house.home / "profiles" / "shard_00" / "sessions" / session_id / "blazz-left-clean.json"
        left = json.loads(mark.read_text())
        mark.write_text(json.dumps(left | {"chromium": "999.0.0.0", "generation": left["generation"] + 1}))
        await house.start("shard_00")
        assert (await house.status(session_id, "failed"))["reason"] == "archive_chromium_newer"
        told = (await house.event(session_id, "restore_failed"))["data"]
        assert (told["source"], told["trying_older"]) == ("local", False)
        assert mark.exists()


async def test_an_unencrypted_copy_is_not_passed_over_for_an_older_one(open_house: Open) -> None:
    async with open_house() as house:
        session_id = await house.link("u", random_phone())
        assert await house.stop("shard_00") == 0
        house.wipe_profiles()
        house.change(ARCHIVE_KEYS=new_key("k"), ARCHIVE_ACCEPT_PLAIN="false")
        await house.start("shard_00")
        assert (await house.status(session_id, "failed"))["reason"] == "archive_not_encrypted"
        assert (await house.event(session_id, "restore_failed"))["data"]["trying_older"] is False
        await house.stop("shard_00")
        house.change(ARCHIVE_ACCEPT_PLAIN="true")
        await house.start("shard_00")
        await house.event(session_id, "session_restored")
