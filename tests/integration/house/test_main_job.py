"""The main job on real parts: linked once, a session comes back from anything without a scan."""

import asyncio
import signal

import redis

from daemon.registry import keys
from tests.integration.house.conftest import Open
from tests.integration.house.house import FULL_CHROMIUM, House, random_phone, until


async def lose_everything(house: House) -> None:
    """kill -9 all shards and browsers, and lose their disk."""
    for name in house.shard_names:
        await house.stop(name, signal.SIGKILL)

    async def no_browser() -> bool:
        return not house.browsers()

    await until("the kernel killed every Chromium with its shard", no_browser, timeout_s=2)
    house.wipe_profiles()


async def test_after_kill_9_and_a_lost_disk_every_session_is_back_without_a_scan(open_house: Open) -> None:
    async with open_house(shards=2) as house:
        phones = [random_phone() for _ in range(3)]
        ids = await asyncio.gather(*(house.link(f"u{i}", phone) for i, phone in enumerate(phones)))
        logins = [(await house.device(phone))["logins"] for phone in phones]
        await lose_everything(house)
        for name in house.shard_names:
            await house.start(name)
        for session_id, phone, before in zip(ids, phones, logins, strict=True):
            restored = await house.event(session_id, "session_restored")
            shown = await house.status(session_id, "connected")
            device = await house.device(phone)
            assert restored["data"]["source"] == "redis" == shown["restored_from"]
            assert (device["logins"], device["stale_logins"]) == (before + 1, 0)
            assert house.receiver.kinds(session_id).count("qr") == 1
        assert house.receiver.refused == 0


async def test_without_redis_hot_copies_they_come_back_from_the_archives(open_house: Open, redis_url: str) -> None:
    async with open_house() as house:
        phone = random_phone()
        session_id = await house.link("u", phone)
        assert await house.stop("shard_00") == 0
        stored = (await house.session(session_id))["archive"]
        house.wipe_profiles()
        redis.Redis.from_url(redis_url).delete(keys.hot_copy(session_id))
        await house.start("shard_00")
        restored = await house.event(session_id, "session_restored")
        assert (restored["data"]["source"], restored["data"]["generation"]) == ("r2", stored["generation"])
        assert (await house.device(phone))["stale_logins"] == 0


async def test_a_damaged_hot_copy_is_passed_over(open_house: Open, redis_url: str) -> None:
    async with open_house() as house:
        session_id = await house.link("u", random_phone())
        await house.stop("shard_00")
        house.wipe_profiles()
        store = redis.Redis.from_url(redis_url)
        body = bytearray(store.get(keys.hot_copy(session_id)) or b"")
        body[len(body) // 2] ^= 1
        store.set(keys.hot_copy(session_id), bytes(body))
        await house.start("shard_00")
        restored = await house.event(session_id, "session_restored")
        assert restored["data"]["source"] == "r2"
        told = (await house.event(session_id, "restore_failed"))["data"]
        assert (told["source"], told["code"], told["trying_older"]) == ("redis", "archive_damaged", True)


async def test_messages_go_both_ways_and_acks_are_told(open_house: Open) -> None:
    async with open_house() as house:
        phone = random_phone()
        session_id = await house.link("u", phone)
        sent = await house.http.post(
            "/api/whatsapp/send", json={"session_id": session_id, "to": "+5511888880001", "message": "hé"}
        )
        assert sent.status_code == 200, sent.text
        await house.phone("inbound", phone=phone, **{"from": "5511888880001@c.us"}, body="olá")
        received = await house.event(session_id, "message")
        assert (received["data"]["body"], received["data"]["from"]) == ("olá", "5511888880001@c.us")
        assert received["data"]["timestamp"] > 1_700_000_000

        async def read() -> bool:
            acks = [e["data"]["ack"] for e in house.receiver.of(session_id, "message_ack")]
            return 3 in acks

        await until("the read ack", read)
        assert {e["data"]["message_id"] for e in house.receiver.of(session_id, "message_ack")} == {
            sent.json()["message_id"]
        }
        assert "hé" not in house.logs() and "olá" not in house.logs()


async def test_sigterm_takes_a_clean_last_backup_and_leaves_no_chromium(open_house: Open) -> None:
    async with open_house(CHROMIUM_PATH=FULL_CHROMIUM) as house:
        session_id = await house.link("u", random_phone())
        assert await house.stop("shard_00") == 0
        assert house.browsers() == []
        shown = await house.session(session_id)
        assert shown["hot_copy"]["clean"] and shown["archive"]["clean"]
        assert shown["status"] == "pending"


async def test_a_stopped_shards_sessions_move_to_the_other_one(open_house: Open) -> None:
    async with open_house(shards=2) as house:
        phone = random_phone()
        session_id = await house.link("u", phone)
        first = (await house.session(session_id))["shard"]
        await house.stop(first)
        await house.event(session_id, "session_restored")
        shown = await house.status(session_id, "connected")
        assert shown["shard"] != first
        assert (await house.device(phone))["stale_logins"] == 0
