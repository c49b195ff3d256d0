"""The page that writes hard, and what opens it."""

from collections.abc import AsyncIterator

import pytest

from tests.integration.profile.rig import Open, opener, served_page


@pytest.fixture
async def origin() -> AsyncIterator[str]:
    """Address of the page; the same for every browser of one test."""
    async with served_page() as address:
        yield address


@pytest.fixture
def open_page(origin: str) -> Open:
    """Open the page in a Chromium of its own on a profile directory."""
    return opener(origin)
