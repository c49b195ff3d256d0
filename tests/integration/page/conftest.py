"""A stand-in per test; and every test also proves that nothing is left in the event loop."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from tests.integration.browser.rig import quiet_loop
from tests.integration.page.phone import World
from tests.standin import StandIn


@pytest_asyncio.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with quiet_loop(), StandIn(sync_ms=200, ref_ttl_ms=2000) as standin:
        yield World(standin, tmp_path)
