"""One master of a cluster is away: the leases on the others go on, whoever else meets it, and wherever slots move."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator

import pytest
import redis

from daemon.core.errors import RedisUnavailableError
from daemon.registry import keys
from daemon.registry.leases import Lease, Leases, Renewal
from daemon.registry.link import RedisLink
from daemon.registry.records import Records
from tests.integration.registry.test_failover import linked
from tests.servers.redis_cluster import Cluster, redis_cluster

SESSIONS = 30
TIMEOUT_S = 2.0


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    """A cluster whose masters answer for their own slots when another is away."""
    with redis_cluster() as cluster:
        for port in cluster.masters:
            with redis.Redis(port=port) as client:
                client.config_set("cluster-require-full-coverage", "no")
        yield cluster


@contextlib.asynccontextmanager
async def held(cluster: Cluster) -> AsyncIterator[tuple[RedisLink, Leases, list[Lease]]]:
    async with linked(cluster.url) as link:
        leases = Leases(link, ttl_ms=60_000)
        mine = [await leases.acquire(f"s{number}", "h", floor=0) for number in range(SESSIONS)]
        assert await leases.renew(mine) == [Renewal.KEPT] * SESSIONS
        yield link, leases, mine


def owner(link: RedisLink, lease: Lease) -> int:
    return int(link.text.get_node_from_key(keys.lease(lease.session_id)).port)


def answers_without(link: RedisLink, away: int, mine: list[Lease]) -> list[Renewal]:
    return [Renewal.UNKNOWN if owner(link, lease) == away else Renewal.KEPT for lease in mine]


@pytest.mark.parametrize("number", range(3))
async def test_a_dead_master_costs_the_leases_of_its_own_sessions_only(cluster: Cluster, number: int) -> None:
    async with held(cluster) as (link, leases, mine):
        dead = cluster.masters[number]
        expected = answers_without(link, dead, mine)
        assert set(expected) == {Renewal.KEPT, Renewal.UNKNOWN}
        cluster.kill(dead)
        for _ in range(5):
            assert await leases.renew(mine) == expected


@pytest.mark.parametrize("number", range(3))
async def test_a_master_that_says_nothing_costs_the_leases_of_its_own_sessions_only(
    cluster: Cluster, number: int
) -> None:
    async with held(cluster) as (link, leases, mine):
        hung = cluster.masters[number]
        expected = answers_without(link, hung, mine)
        with cluster.standing_still(hung):
            for _ in range(4):
                async with asyncio.timeout(TIMEOUT_S + 0.5):
                    assert await leases.renew(mine) == expected
        for _ in range(50):
            if await leases.renew(mine) == [Renewal.KEPT] * SESSIONS:
                break
            await asyncio.sleep(0.1)
        else:
            pytest.fail("the master that speaks again is not asked")


async def test_a_process_that_begins_beside_a_master_that_says_nothing_soon_has_the_leases_of_the_others(
    cluster: Cluster,
) -> None:
    async with held(cluster) as (link, _, mine):
        hung = cluster.masters[0]
        expected = answers_without(link, hung, mine)
        with cluster.standing_still(hung):
            async with linked(cluster.url) as begins:
                leases = Leases(begins, ttl_ms=60_000)
                for _ in range(20):
                    with contextlib.suppress(RedisUnavailableError):
                        if await leases.renew(mine) == expected:
                            break
                else:
                    pytest.fail("the masters that live were never asked")
                assert await leases.renew(mine) == expected


@pytest.mark.parametrize("number", range(3))
async def test_who_asks_a_dead_master_meanwhile_costs_no_lease_of_the_others(cluster: Cluster, number: int) -> None:
    """redis-py closes the connections of all callers when one of them finds a node dead."""
    async with held(cluster) as (link, leases, mine):
        records, dead = Records(link), cluster.masters[number]
        expected = answers_without(link, dead, mine)
        lost = [lease.session_id for lease in mine if owner(link, lease) == dead]
        over = asyncio.Event()

        async def asks() -> int:
            away = 0
            while not over.is_set():
                try:
                    await records.get_many(lost)
                except RedisUnavailableError:
                    away += 1
            return away

        cluster.kill(dead)
        async with asyncio.TaskGroup() as tasks:
            asking = [tasks.create_task(asks()) for _ in range(10)]
            try:
                for _ in range(10):
                    assert await leases.renew(mine) == expected
            finally:
                over.set()
        assert all(task.result() for task in asking), "nobody found the master dead"


async def test_the_lease_of_a_slot_that_moves_is_kept_on_the_way(cluster: Cluster) -> None:
    async with held(cluster) as (link, leases, mine):
        key = keys.lease(mine[0].session_id)
        slot, source = link.text.keyslot(key), owner(link, mine[0])
        target = next(port for port in cluster.masters if port != source)
        # redis-py, with two idle connections to a master, sends ASKING over one and what it is for over the other.
        theirs = next(keys.lease(lease.session_id) for lease in mine if owner(link, lease) == target)
        await asyncio.gather(*(link.text.get(theirs) for _ in range(2)))
        with (
            redis.Redis(port=source, decode_responses=True) as before,
            redis.Redis(port=target, decode_responses=True) as after,
        ):
            ids = {node: str(node.execute_command("CLUSTER", "MYID")) for node in (before, after)}
            after.execute_command("CLUSTER", "SETSLOT", slot, "IMPORTING", ids[before])
            before.execute_command("CLUSTER", "SETSLOT", slot, "MIGRATING", ids[after])
            moving = before.execute_command("CLUSTER", "GETKEYSINSLOT", slot, 100)
            before.execute_command("MIGRATE", "127.0.0.1", target, "", 0, 5000, "KEYS", *moving)
            assert await leases.renew(mine) == [Renewal.KEPT] * SESSIONS
            for node in (after, before):
                node.execute_command("CLUSTER", "SETSLOT", slot, "NODE", ids[after])
            for _ in range(3):
                assert await leases.renew(mine) == [Renewal.KEPT] * SESSIONS
