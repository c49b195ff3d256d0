"""A Redis that is full: it drops hot copies, and nothing whose loss would make a lie of an answer."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from pydantic import SecretStr

from daemon.core.clock import utc_now
from daemon.core.sections import RedisSettings
from daemon.embedded.redis import MAX_MEMORY_SAMPLES
from daemon.registry import keys
from daemon.registry.commands import Claim
from daemon.registry.leases import Leases
from daemon.registry.link import RedisLink
from daemon.sessions.commands import CommandKind
from daemon.sessions.record import CopyFacts, SessionRecord
from daemon.sessions.sends import SendFacts, SendState
from tests.integration.registry.conftest import Rooms
from tests.servers.redis import redis_server

COPY = b"x" * 100_000


@pytest.fixture
async def full() -> AsyncIterator[Rooms]:
    """The registry on a Redis with little memory, set up as the embedded one."""
    with redis_server(
        "--maxmemory", "16mb", "--maxmemory-policy", "volatile-lru", "--maxmemory-samples", str(MAX_MEMORY_SAMPLES)
    ) as url:
        async with RedisLink(RedisSettings(REDIS_URL=SecretStr(url), REDIS_TIMEOUT_MS=5000)) as link:
            yield Rooms(link)


async def put_hot_copy(rooms: Rooms, session_id: str) -> None:
    now = utc_now()
    record = SessionRecord(session_id=session_id, workspace_id="1", user_id="1", created_at=now, status_at=now)
    await rooms.records.create(record)
    lease = await rooms.leases.acquire(session_id, "shard_00:1", floor=0)
    facts = CopyFacts(at=now, size_bytes=len(COPY), token=lease.token, generation=1, clean=False, content_digest="d")
    await rooms.copies.put(session_id, lease.token, COPY, facts)


async def test_a_full_redis_drops_hot_copies_and_no_key_of_a_send_and_no_claim(full: Rooms) -> None:
    for number in range(500):
        begun = await full.sends.begin("s-0", f"k{number}", "f", "3EB0AA", hold_ms=60_000)
        assert begun.ticket is not None
        await full.sends.settle("s-0", begun.ticket, SendFacts(state=SendState.UNKNOWN, message_id="3EB0AA"))
    given = [await full.commands.give("shard_00", CommandKind.SEND, "s-0", {}) for _ in range(20)]
    for command in given:
        assert await full.commands.claim(command) is Claim.MINE
    await asyncio.sleep(1.1)  # Redis counts in whole seconds how long nobody used a key
    sessions = [f"s-{number}" for number in range(200)]
    for session_id in sessions:
        await put_hot_copy(full, session_id)
    left = [session_id for session_id in sessions if await full.copies.get(session_id) is not None]
    assert 50 < len(left) < 180
    known = [await full.sends.get("s-0", f"k{number}") for number in range(500)]
    assert {facts.state if facts else None for facts in known} == {SendState.UNKNOWN}
    assert {await full.commands.claim(command) for command in given} == {Claim.TAKEN}


async def test_a_full_redis_drops_no_lease_that_is_renewed_while_older_hot_copies_are_left(full: Rooms) -> None:
    leases = Leases(full.link, ttl_ms=60_000)
    held = [await leases.acquire(f"l-{number}", "shard_00:1", floor=0) for number in range(120)]
    for number in range(110):
        await put_hot_copy(full, f"s-{number}")
    await asyncio.sleep(2.1)
    for number in range(110, 180):
        await leases.renew(held)
        await put_hot_copy(full, f"s-{number}")
        assert await full.link.text.exists(*(keys.lease(lease.session_id) for lease in held)) == len(held)
    assert (await full.link.text.info("stats"))["evicted_keys"] > 50
