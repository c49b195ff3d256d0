"""Installations whose sessions have no browser: real shards, coordinator, Redis and S3 server, and idle pages."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from pathlib import Path
from typing import IO
from unittest.mock import patch

import psutil

from bench.form import Run
from daemon.core.clock import utc_now
from daemon.embedded.parent import die_with_parent
from daemon.registry.registry import Registry
from daemon.sessions.record import SessionRecord
from daemon.sessions.states import SessionState
from tests.servers.child import free_ports
from tests.servers.redis import redis_server
from tests.servers.s3 import r2local_server

_LOOK_S_EACH = 0.0005


@contextlib.contextmanager
def servers(folder: Path, shard_count: int, **settings: str) -> Iterator[None]:
    """Run Redis and an S3 server, and have all that is started here find them and `folder`; `settings` come on top."""
    with redis_server("--maxclients", "20000") as redis_url, r2local_server() as store:
        environment = {
            **store.environment(),
            "DATA_ROOT": str(folder),
            "REDIS_URL": redis_url,
            "API_TOKEN": "a token for the bench",
            "COORDINATOR_PORT": str(free_ports(1)),
            "SHARD_COUNT": str(shard_count),
            # Sessions without browsers: the host's limits do not matter.
            "SHARD_CAPACITY": "10000",
            "SHARD_PARALLEL_STARTS": "8",
            "HOST_PARALLEL_STARTS": "64",
            "SESSION_MEMORY_BYTES": "1000000",
            "SESSIONS_PER_CPU": "100000",
            "MIN_FREE_BYTES": "0",
            "RECOVER_SESSIONS": "off",
            **settings,
        }
        with patch.dict(os.environ, environment):
            yield


@contextlib.contextmanager
def child(module: str, *arguments: str, log: IO[bytes] | None = None) -> Iterator[psutil.Process]:
    """Run a module until the block ends, then kill it; `log` gets what it says."""
    child = subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        stdout=subprocess.DEVNULL,
        stderr=log,
        preexec_fn=partial(die_with_parent, signal.SIGKILL),
    )
    try:
        yield psutil.Process(child.pid)
    finally:
        child.kill()
        child.wait()


async def create(registry: Registry, numbers: range) -> None:
    """Create sessions, as the API does."""
    now = utc_now()
    for number in numbers:
        record = SessionRecord(
            session_id=f"session-{number}-1", workspace_id="1", user_id=str(number), created_at=now, status_at=now
        )
        await registry.records.create(record)
    await registry.wakes.wake("session")


async def alive(registry: Registry) -> int:
    """How many shards live."""
    return sum(shard.alive for shard in await registry.shards.all())


async def placed(registry: Registry) -> int:
    """How many sessions have a shard."""
    return sum(summary.shard is not None for summary in await registry.records.summaries())


async def connected(registry: Registry) -> int:
    """How many sessions are connected."""
    return sum(summary.status is SessionState.CONNECTED for summary in await registry.records.summaries())


async def until_all(
    run: Run, counted: Callable[[Registry], Awaitable[int]], registry: Registry, count: int, *, are: str
) -> float:
    """Return when there were so many. To look costs something as well, so the more sessions the more seldom."""
    seen = 0
    with run.progress(are, count) as advance:
        while (found := await counted(registry)) != count:
            advance(found - seen)
            seen = found
            await asyncio.sleep(max(0.5, count * _LOOK_S_EACH))
    return time.monotonic()
