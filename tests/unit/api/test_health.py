"""Health: which answer means what, and that open routes cannot be used to cause cost."""

import asyncio
from dataclasses import replace

import httpx

from daemon.api.probes import Probes
from daemon.core.errors import RedisUnavailableError
from daemon.registry.seen import SeenShard
from tests.unit.api.directory_double import DirectoryDouble, ObjectStoreHealth, RedisHealth, alive_shard

DOWN = RedisHealth(connected=False, error="Redis did not answer")
NO_STORE = ObjectStoreHealth(bucket="bucket", connected=False, error="refused")


async def test_all_well(stranger: httpx.AsyncClient) -> None:
    answer = await stranger.get("/health")
    assert answer.json() == {
        "status": "healthy", "redis": "healthy", "r2": "healthy", "shards": {"alive": 2, "total": 2}
    }  # fmt: skip


async def test_a_dead_shard_or_store_is_degraded_and_still_200(
    stranger: httpx.AsyncClient, directory: DirectoryDouble
) -> None:
    directory.views = (alive_shard("shard_00"), SeenShard(name="shard_01", heartbeat=None))
    answer = await stranger.get("/health")
    assert (answer.status_code, answer.json()["status"]) == (200, "degraded")
    assert answer.json()["shards"] == {"alive": 1, "total": 2}


async def test_a_store_that_fails_is_degraded_and_ready(
    stranger: httpx.AsyncClient, directory: DirectoryDouble
) -> None:
    directory.store = NO_STORE
    assert (await stranger.get("/health")).json()["status"] == "degraded"
    assert (await stranger.get("/health/ready")).status_code == 200


async def test_without_redis_it_is_unhealthy_and_not_ready_but_live(
    api: httpx.AsyncClient, directory: DirectoryDouble
) -> None:
    directory.redis = DOWN
    directory.fails["shards"] = RedisUnavailableError("gone")
    whole, ready, live = [await api.get(path) for path in ("/health", "/health/ready", "/health/live")]
    assert (whole.status_code, whole.json()["status"]) == (503, "unhealthy")
    assert (ready.status_code, ready.json()["status"]) == (503, "not_ready")
    assert (live.status_code, live.json()) == (200, {"status": "alive"})
    redis = await api.get("/health/redis")
    assert (redis.status_code, redis.json()["error"]) == (503, "Redis did not answer")


async def test_without_a_shard_it_is_not_ready(stranger: httpx.AsyncClient, directory: DirectoryDouble) -> None:
    directory.views = (SeenShard(name="shard_00", heartbeat=None),)
    assert (await stranger.get("/health/ready")).status_code == 503
    assert (await stranger.get("/health")).json()["status"] == "unhealthy"


async def test_r2_has_its_two_shapes(api: httpx.AsyncClient, directory: DirectoryDouble) -> None:
    good = await api.get("/health/r2")
    assert good.json() == {
        "status": "healthy", "bucket": "bucket", "connected": True, "sampleObject": "workspace_7/x.zip"
    }  # fmt: skip
    directory.store = NO_STORE
    bad = await api.get("/health/r2")
    assert (bad.status_code, bad.json()) == (500, {"status": "unhealthy", "error": "refused"})
    directory.store = replace(NO_STORE, connected=True, error=None)
    assert (await api.get("/health/r2")).json()["sampleObject"] is None


async def test_the_open_route_asks_the_store_once_in_a_while_only(
    stranger: httpx.AsyncClient, directory: DirectoryDouble
) -> None:
    for _ in range(5):
        await stranger.get("/health")
    assert directory.calls.count(("check_object_store", None)) == 1


async def test_a_store_that_hangs_is_asked_once_and_answered_in_time() -> None:
    asked = 0
    release = asyncio.Event()

    class Hanging(DirectoryDouble):
        async def check_object_store(self) -> ObjectStoreHealth:
            nonlocal asked
            asked += 1
            await release.wait()
            return self.store

    probes = Probes(Hanging(), limit_s=0.01)
    assert await asyncio.gather(probes.store(fresh=True), probes.store(fresh=False)) == [None, None]
    assert asked == 1
    release.set()
    answer = await probes.store(fresh=False)
    assert answer is not None
    assert asked == 1
