"""Keys of archives are changed under living sessions: no scan, and the old key can go."""

import json
from typing import Any

import redis

from daemon.core.archive_keys import archive_keys_text
from daemon.registry import keys as redis_keys
from tests.integration.house.commands import blazz
from tests.integration.house.conftest import Open
from tests.integration.house.house import House, random_phone

FIRST, SECOND = {"first": b"1" * 32}, {"second": b"2" * 32}


async def rotate(house: House, keys: dict[str, bytes]) -> tuple[int, dict[str, Any]]:
    code, out, err = await blazz(house, "keys", "rotate", "--json", ARCHIVE_KEYS=archive_keys_text(keys))
    assert out, err
    return code, json.loads(out)


async def restart(house: House, keys: dict[str, bytes]) -> None:
    """Start the shard with other keys."""
    house.change(ARCHIVE_KEYS=archive_keys_text(keys))
    await house.start("shard_00")


async def test_copies_come_under_a_new_key_while_the_session_runs_and_while_it_rests(open_house: Open) -> None:
    async with open_house() as house:
        phone = random_phone()
        session_id = await house.link("u", phone)
        code, told = await rotate(house, FIRST)
        assert (code, told["counts"]) == (1, {"old_shard": 1})
        assert "restart the shards first" in told["not_done"][0]["message"]

        await house.stop("shard_00")
        await restart(house, FIRST)
        await house.event(session_id, "session_restored")
        await house.status(session_id, "connected")
        code, told = await rotate(house, FIRST)
        # Its own next backup may have come first.
        assert code == 0 and told["counts"] in ({"rotated": 1}, {"current": 1})

        await house.stop("shard_00")
        code, told = await rotate(house, SECOND | FIRST)
        assert (code, told["counts"]) == (0, {"rotated": 1})
        # With the second key alone, and nothing but the resealed copy to come back from.
        house.wipe_profiles()
        await restart(house, SECOND)
        restored = await house.event(session_id, "session_restored", 2)
        assert (restored["data"]["source"], restored["data"]["generation"]) == ("redis", 1)
        await house.status(session_id, "connected")
        assert (await house.device(phone))["stale_logins"] == 0
        assert house.receiver.kinds(session_id).count("qr") == 1


async def test_what_is_stored_never_gets_newer_than_what_a_shard_could_not_store(
    open_house: Open, redis_url: str
) -> None:
    async with open_house() as house:
        session_id = await house.link("u", random_phone())
        await house.stop("shard_00")
        store = redis.Redis.from_url(redis_url)
        assert store.hget(redis_keys.record(session_id), "unsaved") == b"", "the last backup was stored"
        store.hset(redis_keys.record(session_id), "unsaved", "shard_00")
        before = (await house.session(session_id))["archive"]
        code, told = await rotate(house, FIRST)
        assert (code, told["not_done"][0]["code"]) == (1, "unsaved_state")
        assert (await house.session(session_id))["archive"] == before
