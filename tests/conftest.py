"""Servers that many tests share. Each is started at its first use, once in a test process, and ended with it.

Tests that need an untouched server start one of their own with the functions in `tests.servers`.
"""

from collections.abc import Iterator

import pytest

from tests.servers.redis import redis_server
from tests.servers.s3 import S3Server, r2local_server, swift_server


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """Address of a real Redis; tests of one process follow each other, so each may empty it."""
    with redis_server() as url:
        yield url


@pytest.fixture(scope="session")
def swift() -> Iterator[S3Server]:
    """OpenStack Swift, the S3 server that the product embeds."""
    with swift_server() as server:
        yield server


@pytest.fixture(scope="session")
def r2local() -> Iterator[S3Server]:
    """Cloudflare's own local R2."""
    with r2local_server() as server:
        yield server


@pytest.fixture(scope="session")
def r2local_tls() -> Iterator[S3Server]:
    """Cloudflare's own local R2 over TLS, where requests are signed as for R2 itself."""
    with r2local_server(tls=True) as server:
        yield server


@pytest.fixture(scope="session")
def s3(swift: S3Server) -> S3Server:
    """An S3 server, whichever; tests share its bucket and use session ids of their own."""
    return swift


@pytest.fixture(scope="session")
def s3_endpoint(s3: S3Server) -> str:
    """Address of `s3`."""
    return s3.endpoint
