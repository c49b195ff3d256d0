"""A registry on a real Redis, emptied for each test."""

from collections.abc import AsyncIterator

import pytest
from pydantic import SecretStr

from daemon.core.sections import RedisSettings
from daemon.registry.codes import Codes
from daemon.registry.commands import Commands
from daemon.registry.copies import HotCopies
from daemon.registry.events import EventStream
from daemon.registry.leases import Leases
from daemon.registry.link import RedisLink
from daemon.registry.membership import Membership
from daemon.registry.records import Records
from daemon.registry.tombstones import Tombstones

LEASE_TTL_MS = 600


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
        self.tombstones = Tombstones(link)


@pytest.fixture
async def rooms(redis_url: str) -> AsyncIterator[Rooms]:
    async with RedisLink(RedisSettings(REDIS_URL=SecretStr(redis_url), REDIS_TIMEOUT_MS=2000)) as link:
        await link.text.flushall()
        yield Rooms(link)
