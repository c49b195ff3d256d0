"""`Archives`: the catalogue for asyncio code. Every call runs in the executor that the process gives."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from functools import partial
from typing import TypeVar

from daemon.objectstore.catalogue import ArchiveFacts, ArchiveRef, Catalogue
from daemon.objectstore.check import StoreCheck, StoreHealth
from daemon.objectstore.config import ObjectStoreConfig
from daemon.objectstore.store import ObjectStore
from daemon.objectstore.usage import Usage

_T = TypeVar("_T")


class Archives:
    """The archives of all sessions. Makes no request when created; make it once in a process.

    Every method raises ObjectStoreUnavailableError (nothing is known: wait and try again) and ObjectStoreRefusedError
    (an operator must look). A cancelled call goes on in its thread to its end.
    """

    def __init__(self, config: ObjectStoreConfig, executor: Executor) -> None:
        self._executor = executor
        self._store = ObjectStore(config)
        self._catalogue = Catalogue(self._store)
        self._check = StoreCheck(config)

    async def store(self, facts: ArchiveFacts, body: bytes) -> ArchiveRef:
        """Store an archive; on return the store has confirmed its MD5. The same call can be made again.

        Raises:
            ObjectExistsError: another archive has this token and generation already.
        """
        return await self._run(partial(self._catalogue.store, facts, body))

    async def fetch(self, ref: ArchiveRef) -> bytes:
        """Return an archive's bytes, verified.

        Raises:
            ObjectNotFoundError: it has been removed.
            ArchiveDamagedError: not what was stored; use an older one.
        """
        return await self._run(partial(self._catalogue.fetch, ref))

    async def newest_first(self, workspace_id: str, session_id: str) -> tuple[ArchiveRef, ...]:
        """Return all archives of a session; an empty tuple is the store's answer that there is none."""
        return await self._run(partial(self._catalogue.newest_first, workspace_id, session_id))

    async def delete(self, ref: ArchiveRef) -> None:
        """Remove one archive; no error when it is gone already."""
        await self._run(partial(self._catalogue.delete, ref))

    async def health(self) -> StoreHealth:
        """Say whether the store can be used now; never raises."""
        return await self._run(self._check.health)

    def usage(self) -> Usage:
        """Return what this process has asked of the store, without health checks."""
        return self._store.usage.read()

    async def _run(self, work: Callable[[], _T]) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._executor, work)
