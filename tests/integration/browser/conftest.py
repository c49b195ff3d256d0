"""Every test of the browser also proves that nothing is left in the event loop."""

from collections.abc import AsyncIterator

import pytest_asyncio

from tests.integration.browser.rig import quiet_loop


@pytest_asyncio.fixture(autouse=True)
async def _quiet() -> AsyncIterator[None]:
    async with quiet_loop():
        yield
