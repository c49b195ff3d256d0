"""Real Chromium for tests: start and surely end it, and wait for conditions with a deadline."""

import asyncio
import gc
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

from shards.browser.connection import BrowserConnection
from shards.browser.flags import BrowserSpec
from shards.browser.process import BrowserProcess

HEADLESS_SHELL = Path("/usr/lib/chromium/chromium-headless-shell")
CHROMIUM = Path("/usr/lib/chromium/chromium")
T = TypeVar("T")


def spec_in(directory: Path, **changes: Any) -> BrowserSpec:
    """Return a spec whose profile and note are in `directory`."""
    fields: dict[str, Any] = {
        "chromium_path": HEADLESS_SHELL,
        "profile_dir": directory / "profile",
        "sandbox": os.geteuid() != 0,
        "pgid_file": directory / "session.pgid",
    }
    return BrowserSpec(**{**fields, **changes})


@asynccontextmanager
async def started(spec: BrowserSpec) -> AsyncIterator[BrowserProcess]:
    """Run a Chromium for a block and kill what is left of it."""
    process = await BrowserProcess.start(spec, timeout_s=30)
    try:
        yield process
    finally:
        await process.close(0)


@asynccontextmanager
async def connected(spec: BrowserSpec) -> AsyncIterator[tuple[BrowserProcess, BrowserConnection]]:
    """Run a Chromium and a connection to its page for a block."""
    async with started(spec) as process:
        connection = await BrowserConnection.open(process, timeout_s=10)
        try:
            yield process, connection
        finally:
            await connection.close()


@asynccontextmanager
async def quiet_loop() -> AsyncIterator[None]:
    """Fail if the event loop is told of destroyed tasks or exceptions that nobody looked at."""
    complaints: list[str] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: complaints.append(repr(context)))
    before = asyncio.all_tasks()
    yield
    for _ in range(3):
        await asyncio.sleep(0)
    gc.collect()
    await asyncio.sleep(0)
    loop.set_exception_handler(None)
    assert complaints == []
    assert asyncio.all_tasks() - {asyncio.current_task()} - before == set()


async def eventually(read: Callable[[], Awaitable[T]], wanted: Callable[[T], bool], limit_s: float = 30) -> T:
    """Return the first reading that is wanted; fail with the last one after `limit_s` seconds."""
    deadline_mono_s = time.monotonic() + limit_s
    while True:
        reading = await read()
        if wanted(reading):
            return reading
        assert time.monotonic() < deadline_mono_s, f"still {reading!r}"
        await asyncio.sleep(0.03)


def alive(pid: int) -> bool:
    """Whether a process runs; zombies do not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False
