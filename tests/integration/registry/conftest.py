"""A registry on a real Redis, emptied for each test."""

from collections.abc import AsyncIterator, Iterator

import pytest
from pydantic import SecretStr

from daemon.core.sections import RedisSettings
from daemon.registry.codes import Codes
from daemon.registry.commands import Commands
from daemon.registry.copies import HotCopies
from daemon.registry.dead_letters import DeadLetters
from daemon.registry.events import EventStream
from daemon.registry.jobs import Jobs
from daemon.registry.leases import Leases
from daemon.registry.link import RedisLink
from daemon.registry.membership import Membership
from daemon.registry.outbox import Outbox
from daemon.registry.parked import Parked
from daemon.registry.records import Records
from daemon.registry.sends import Sends
from daemon.registry.tombstones import Tombstones
from daemon.registry.uploads import Uploads
from tests.servers.redis_cluster import redis_cluster
from tests.servers.redis_sentinel import redis_sentinel

LEASE_TTL_MS = 1500


class Rooms:
    """Every part of the registry over one link, with a lease TTL short enough to wait for."""

    def __init__(self, link: RedisLink) -> None:
        self.link = link
        self.records = Records(link)
        self.leases = Leases(link, ttl_ms=LEASE_TTL_MS)
        self.copies = HotCopies(link)
        self.codes = Codes(link)
        self.shards = Membership(link)
        self.commands = Commands(link, max_age_ms=500)
        self.events = EventStream(link)
        self.outbox = Outbox(link)
        self.parked = Parked(link, self.outbox)
        self.letters = DeadLetters(link)
        self.tombstones = Tombstones(link)
        self.sends = Sends(link, keep_ms=60_000)
        self.uploads = Uploads(link)
        self.jobs = Jobs(link)


@pytest.fixture(scope="session")
def cluster_url() -> Iterator[str]:
    """Address of a Redis Cluster of three masters."""
    with redis_cluster() as cluster:
        yield cluster.url


@pytest.fixture(scope="session")
def sentinel_url() -> Iterator[str]:
    """Address of a Redis with a replica and sentinels."""
    with redis_sentinel() as watched:
        yield watched.url


@pytest.fixture(params=["redis_url", "cluster_url", "sentinel_url"], ids=["single", "cluster", "sentinel"])
async def rooms(request: pytest.FixtureRequest) -> AsyncIterator[Rooms]:
    """The same on each way to run Redis."""
    url: str = request.getfixturevalue(request.param)
    async with RedisLink(RedisSettings(REDIS_URL=SecretStr(url), REDIS_TIMEOUT_MS=2000)) as link:
        await link.text.flushall()
        yield Rooms(link)
