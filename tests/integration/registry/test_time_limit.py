"""REDIS_TIMEOUT_MS is the limit of a whole call, also of the second and third to a Redis that hangs or is cut off."""

import asyncio
import contextlib
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from daemon.core.errors import RedisUnavailableError
from daemon.core.loops import cancel_all
from daemon.core.sections import RedisSettings
from daemon.registry.commands import Commands
from daemon.registry.leases import Leases
from daemon.registry.link import RedisLink
from tests.servers.redis_losing import LosingRedis, losing_redis

LIMIT_S = 0.5


@pytest.fixture
def server() -> Iterator[LosingRedis]:
    with losing_redis() as server:
        yield server


def link_to(url: str) -> RedisLink:
    return RedisLink(RedisSettings(REDIS_URL=SecretStr(url), REDIS_TIMEOUT_MS=int(LIMIT_S * 1000)))


async def fails_in_time(link: RedisLink) -> None:
    """Every kind of call, again and again: each ends soon after the limit."""
    leases, commands = Leases(link, ttl_ms=15000), Commands(link, max_age_ms=1000)
    calls = [link.ping_ms, lambda: leases.known_token("s"), lambda: commands.take("shard_00", block_ms=100)]
    for call in calls * 2:
        began = time.monotonic()
        with pytest.raises(RedisUnavailableError):
            await call()
        assert time.monotonic() - began < LIMIT_S + 0.1 + 3.0


async def test_a_call_to_a_redis_that_hangs_ends_in_time(server: LosingRedis) -> None:
    async with link_to(server.url) as link:
        await link.ping_ms()
        with server.standing_still():
            await fails_in_time(link)
        await link.ping_ms()


async def test_a_call_to_what_takes_connections_and_never_answers_ends_in_time(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as deaf:
        deaf.bind(str(tmp_path / "s"))
        deaf.listen(100)
        async with link_to(f"unix://{tmp_path}/s") as link:
            await fails_in_time(link)


async def test_a_dead_host_among_several_does_not_use_up_the_time() -> None:
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(100)
        port = deaf.getsockname()[1]
        for kind, end in (("cluster", ""), ("sentinel", "/mymaster")):
            async with link_to(f"redis+{kind}://127.0.0.1:{port},127.0.0.1:{port}{end}") as link:
                await fails_in_time(link)


async def test_a_call_ends_in_time_when_its_cancellation_got_lost(server: LosingRedis) -> None:
    async with link_to(server.url) as link:
        began = time.monotonic()
        with pytest.raises(RedisUnavailableError):
            async with link.asking("answer"):
                with contextlib.suppress(asyncio.CancelledError):
                    await asyncio.sleep(20)
                await asyncio.sleep(20)
        assert time.monotonic() - began < LIMIT_S + 2 + 3.0


async def test_a_connection_that_was_closed_under_a_call_means_that_redis_is_away(server: LosingRedis) -> None:
    async with link_to(server.url) as link:
        with pytest.raises(RedisUnavailableError, match="AttributeError"):
            async with link.asking("answer"):
                await link.text.connection_pool.make_connection()._send_packed_command([b"PING"])
        with pytest.raises(AttributeError):
            async with link.asking("answer"):
                link.no_such_thing  # type: ignore[attr-defined]  # noqa: B018


async def test_a_cancellation_is_never_lost_in_a_call(server: LosingRedis) -> None:
    """In a call of ten turns a cancellation may come in any of them; a loop must not go on after it."""
    async with link_to(server.url) as link:
        for turns in range(60):
            rounds = 0

            async def go_on() -> None:
                nonlocal rounds
                while True:
                    await link.ping_ms()
                    rounds += 1

            task = asyncio.create_task(go_on())
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            before = rounds
            await asyncio.wait([task], timeout=5)
            ended = task.cancelled()
            await cancel_all([task])
            assert ended and rounds - before <= 1, turns
