"""What the commands share: settings, keys, both stores and a scratch directory, opened and closed in one place."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from daemon.core.logs import configure_logs
from daemon.core.settings import Settings, load_settings
from daemon.objectstore.archives import Archives
from daemon.objectstore.config import object_store_config
from daemon.registry.registry import Registry
from shards.archive.keyring import Keyring, keyring_of
from shards.archive.unpack import UnpackLimits
from shards.cli.scratch import scratch_directory

_T = TypeVar("_T")

PARALLEL = 4
"""How many archives a command has on disk at once."""


@dataclass(frozen=True, kw_only=True)
class Parts:
    """The opened parts. Redis and the object store are asked for nothing before a command does."""

    settings: Settings
    registry: Registry
    archives: Archives
    keyring: Keyring
    limits: UnpackLimits
    scratch: Path
    executor: ThreadPoolExecutor

    async def threaded(self, work: Callable[[], _T]) -> _T:
        """Run what blocks."""
        return await asyncio.get_running_loop().run_in_executor(self.executor, work)


def run(command: Callable[[Parts], Coroutine[Any, Any, _T]]) -> _T:
    """Run a command on the opened parts.

    Raises:
        SettingsError: and whatever the command raises.
    """
    settings = load_settings()
    # A command prints its results itself; only what is wrong beyond them is worth a line.
    configure_logs(settings.log.model_copy(update={"level": "ERROR"}), process="blazz")

    async def opened() -> _T:
        async with _opened(settings) as parts:
            return await command(parts)

    return asyncio.run(opened())


@contextlib.asynccontextmanager
async def _opened(settings: Settings) -> AsyncIterator[Parts]:
    registry = Registry(settings)
    with scratch_directory(settings.paths.profile_root) as scratch:
        executor = ThreadPoolExecutor(max_workers=2 * PARALLEL, thread_name_prefix="command")
        try:
            yield Parts(
                settings=settings,
                registry=registry,
                archives=Archives(object_store_config(settings.object_store), executor),
                keyring=keyring_of(settings.archive),
                limits=UnpackLimits(max_total_bytes=settings.archive.max_unpacked_bytes),
                scratch=scratch,
                executor=executor,
            )
        finally:
            await registry.close()
            # Waits for what is under way, because it writes into the scratch directory.
            executor.shutdown(wait=True, cancel_futures=True)


async def each(items: Iterable[_T], work: Callable[[_T], Awaitable[None]], *, at_once: int = PARALLEL) -> None:
    """Do `work` on every item, a few at once.

    Raises:
        ExceptionGroup: what the first failing work raised; the others are cancelled.
    """
    left = iter(items)

    async def one_after_another() -> None:
        for item in left:
            await work(item)

    async with asyncio.TaskGroup() as tasks:
        for _ in range(at_once):
            tasks.create_task(one_after_another())
