"""Factories of whole installations in short directories of their own."""

import shutil
import tempfile
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import redis

from tests.integration.house.house import House
from tests.servers.s3 import S3Server

Open = Callable[..., House]


@pytest.fixture
async def open_house(redis_url: str, s3: S3Server) -> AsyncIterator[Open]:
    """Return a function that makes a house on this test's Redis and bucket; use it with `async with`."""
    homes: list[Path] = []
    redis.Redis.from_url(redis_url).flushall()

    def make(**settings: object) -> House:
        homes.append(Path(tempfile.mkdtemp(prefix="h")))
        return House(homes[-1], redis_url, s3.environment(), **settings)  # type: ignore[arg-type]

    yield make
    for home in homes:
        shutil.rmtree(home, ignore_errors=True)
