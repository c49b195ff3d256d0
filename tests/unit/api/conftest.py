"""The app over a directory in memory, called without a network."""

from collections.abc import AsyncIterator

import httpx
import pytest

from daemon.api.app import build_app
from daemon.api.ports import Parts
from daemon.core.sections import CoordinatorSettings, SendSettings
from tests.unit.api.directory_double import DirectoryDouble
from tests.unit.api.restores_double import RestoresDouble
from tests.unit.api.tokens_double import TokensDouble
from tests.unit.api.webhooks_double import CopiesDouble, FeedDouble, WebhooksDouble

TOKEN = "a-token-of-the-tests-0123456789"


@pytest.fixture
def directory() -> DirectoryDouble:
    """A directory with one session, `session-12-7`."""
    double = DirectoryDouble()
    double.add("session-12-7")
    return double


@pytest.fixture
def restores() -> RestoresDouble:
    """Restore jobs in memory."""
    return RestoresDouble()


@pytest.fixture
def tokens() -> TokensDouble:
    """Tokens in memory."""
    return TokensDouble()


@pytest.fixture
def limits() -> dict[str, int]:
    """How often one may ask; a test may ask for less."""
    return {}


@pytest.fixture
async def stranger(
    directory: DirectoryDouble, restores: RestoresDouble, tokens: TokensDouble, limits: dict[str, int]
) -> AsyncIterator[httpx.AsyncClient]:
    """A client without a token."""
    settings = CoordinatorSettings.model_validate({"API_TOKEN": TOKEN, "MAX_BODY_BYTES": 4096} | limits)
    send = SendSettings.model_validate({"MAX_MEDIA_BYTES": 4096})
    parts = Parts(
        directory=directory,
        restores=restores,
        copies=CopiesDouble(),
        tokens=tokens,
        webhooks=WebhooksDouble(),
        feed=FeedDouble(),
    )
    transport = httpx.ASGITransport(
        build_app(parts, settings, send),
        raise_app_exceptions=False,
    )
    async with httpx.AsyncClient(transport=transport, base_url="http://api") as client:
        yield client


@pytest.fixture
async def api(stranger: httpx.AsyncClient) -> httpx.AsyncClient:
    """A client with the token."""
    stranger.headers["Authorization"] = f"Bearer {TOKEN}"
    return stranger
