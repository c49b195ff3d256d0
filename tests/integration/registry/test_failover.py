"""A master dies: nobody is told anything wrong, leases and records go on at the next master."""

import asyncio
import contextlib
import itertools
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

import pytest
from pydantic import SecretStr

from daemon.core.clock import utc_now
from daemon.core.errors import RedisUnavailableError, TokenUnprovenError
from daemon.core.sections import RedisSettings
from daemon.registry import keys
from daemon.registry.commands import Commands
from daemon.registry.jobs import Jobs
from daemon.registry.leases import Lease, Leases, Renewal
from daemon.registry.link import RedisLink
from daemon.registry.records import Records
from daemon.sessions.commands import CommandKind, Outcome, Reply
from daemon.sessions.record import SessionRecord
from tests.servers.redis_cluster import Cluster, redis_cluster
from tests.servers.redis_sentinel import Watched, redis_sentinel

SESSIONS = 60
TTL_MS = 20_000
FAILS_OVER_S = 25.0
DONE = Reply(outcome=Outcome.DONE)


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    with redis_cluster(replicas=True) as cluster:
        yield cluster


@pytest.fixture
def watched() -> Iterator[Watched]:
    with redis_sentinel() as watched:
        yield watched


@contextlib.asynccontextmanager
async def linked(url: str) -> AsyncIterator[RedisLink]:
    async with RedisLink(RedisSettings(REDIS_URL=SecretStr(url), REDIS_TIMEOUT_MS=2000)) as link:
        yield link


async def through_the_failure(what: Callable[[], Awaitable[object]]) -> int:
    """Repeat a call until it works; return how often Redis was away. Any other error is a fault."""
    deadline, away = time.monotonic() + FAILS_OVER_S, 0
    while True:
        try:
            await what()
            return away
        except RedisUnavailableError:
            away += 1
            assert time.monotonic() < deadline, "no next master"
            await asyncio.sleep(0.1)


async def held(leases: Leases) -> list[Lease]:
    return [await leases.acquire(f"s-{number}", "a", floor=0) for number in range(SESSIONS)]


async def goes_on(link: RedisLink, kill: Callable[[], None]) -> None:
    """Hold leases, kill a master, and look whether everything is as it was at the next one."""
    leases, records = Leases(link, ttl_ms=TTL_MS), Records(link)
    mine = await held(leases)
    now = utc_now()
    for lease in mine:
        made = SessionRecord(session_id=lease.session_id, workspace_id="1", user_id="2", created_at=now, status_at=now)
        await records.create(made)
    assert await leases.renew(mine) == [Renewal.KEPT] * SESSIONS
    before = await link.server_ids()
    kill()

    async def renewed() -> None:
        answers = await leases.renew(mine)
        assert Renewal.LOST not in answers
        if Renewal.UNKNOWN in answers:
            raise RedisUnavailableError("a master is away")

    assert await through_the_failure(renewed) > 0, "nobody noticed that a master died"
    assert await leases.renew(mine) == [Renewal.KEPT] * SESSIONS
    for lease in mine:
        await records.write_held(lease.session_id, lease.token, {"reason": "after"})
    assert {record.reason for record in await records.all()} == {"after"}
    assert await link.server_ids() != before
    # Whatever the lost seconds held: who comes now must ask the archives first.
    with pytest.raises(TokenUnprovenError):
        await leases.acquire("new", "b")


async def test_a_cluster_goes_on_after_a_master_died(cluster: Cluster) -> None:
    async with linked(cluster.url) as link:
        await goes_on(link, lambda: cluster.kill(cluster.masters[0]))


async def test_whatever_is_under_way_when_a_master_dies_is_done_or_away_and_goes_on_then(cluster: Cluster) -> None:
    """redis-py closes the connections of all callers when one of them finds a node dead."""
    async with linked(cluster.url) as link:
        commands, records, leases = Commands(link, max_age_ms=1000), Records(link), Leases(link, ttl_ms=TTL_MS)
        jobs, mine = Jobs(link), await held(leases)
        calls: list[Callable[[str], Awaitable[object]]] = [
            lambda name: commands.reply(name, DONE),
            lambda name: records.get_many([name]),
            lambda _: jobs.unfinished(),
            lambda _: leases.renew(mine),
        ]
        over, done, away = asyncio.Event(), 0, 0

        async def again_and_again(call: Callable[[str], Awaitable[object]], caller: int) -> None:
            nonlocal done, away
            for number in itertools.count():
                if over.is_set():
                    return
                try:
                    await call(f"{caller}-{number}")
                    done += 1
                except RedisUnavailableError:
                    away += 1
                await asyncio.sleep(0)

        async with asyncio.TaskGroup() as tasks:
            for caller in range(20):
                tasks.create_task(again_and_again(calls[caller % len(calls)], caller))
            await asyncio.sleep(0.5)
            cluster.kill(cluster.masters[0])
            await asyncio.sleep(3)
            over.set()
        assert done and away

        async def answered() -> None:
            given = await commands.give("shard_00", CommandKind.BACKUP, "s", {})
            await commands.reply(given.command_id, DONE)
            assert await commands.wait(given, timeout_s=5) == DONE

        for _ in range(30):  # replies are on all masters
            await through_the_failure(answered)


async def test_sentinel_leads_to_the_next_master(watched: Watched) -> None:
    async with linked(watched.url) as link:
        await goes_on(link, lambda: watched.kill(watched.master()))


async def test_the_sessions_of_one_shard_are_on_all_masters_of_a_cluster(cluster: Cluster) -> None:
    async with linked(cluster.url) as link:
        await held(Leases(link, ttl_ms=TTL_MS))
        counts = {node.name: await link.text.dbsize(target_nodes=node) for node in link.text.get_primaries()}
        assert len(counts) == 3
        assert all(count > SESSIONS / 10 for count in counts.values()), counts
        assert len(await link.server_ids()) == 3
        assert link.text.keyslot(keys.lease("s-1")) == link.text.keyslot(keys.record("s-1"))
