"""Fixtures: a stand-in of one's own, and pages without a browser."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import aiohttp
import pytest_asyncio

from tests.integration.standin.device import FakePage
from tests.standin import StandIn


@pytest_asyncio.fixture
async def standin() -> AsyncIterator[StandIn]:
    """A running stand-in with quick settings."""
    async with StandIn(sync_ms=100, ref_ttl_ms=20_000) as running:
        yield running


@pytest_asyncio.fixture
async def page(standin: StandIn) -> AsyncIterator[Callable[[], FakePage]]:
    """Factory of pages with fresh keys."""
    async with aiohttp.ClientSession() as http:
        yield lambda: FakePage(standin, http)
