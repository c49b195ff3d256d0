"""`Archives`: the catalogue for asyncio code. Every call runs in the executor that the process gives."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import Executor
from functools import partial
from pathlib import Path
from threading import Event
from typing import Protocol, TypeVar

from daemon.core.tokens import ApiToken
from daemon.objectstore.catalogue import ArchiveFacts, ArchiveRef, Catalogue
from daemon.objectstore.check import StoreCheck, StoreHealth
from daemon.objectstore.config import ObjectStoreConfig
from daemon.objectstore.facts import ObjectFacts
from daemon.objectstore.marks import Mark
from daemon.objectstore.store import ObjectStore
from daemon.objectstore.tokens import TOKENS_PREFIX, parse_token_key
from daemon.objectstore.usage import Usage

_T = TypeVar("_T")
_Done = TypeVar("_Done", covariant=True)


class _Transfer(Protocol[_Done]):
    """A call that ends soon once `abandoned` is set."""

    def __call__(self, *, abandoned: Event) -> _Done: ...


class Archives:
    """The archives of all sessions. Makes no request when created; make it once in a process.

    Every method raises ObjectStoreUnavailableError (nothing is known: wait and try again) and ObjectStoreRefusedError
    (an operator must look). A cancelled call goes on in its thread: to its end, or, where an archive is under way, to
    the next piece of it.
    """

    def __init__(self, config: ObjectStoreConfig, executor: Executor) -> None:
        self._executor = executor
        self._store = ObjectStore(config)
        self._catalogue = Catalogue(self._store, config.timeouts.transfer_limit_s)
        self._check = StoreCheck(config)

    async def store(self, facts: ArchiveFacts, source: Path, *, md5: str) -> ArchiveRef:
        """Store the file `source` as an archive; on return the store has confirmed its MD5, `md5` in hexadecimal.

        The file is sent in pieces and must not change meanwhile. The same call can be made again.

        Raises:
            ObjectExistsError: another archive has this token and generation already.
            UnavailableError: the file cannot be read.
        """
        return await self._transfer(partial(self._catalogue.store, facts, source, md5=md5))

    async def fetch(self, ref: ArchiveRef, into: Path) -> None:
        """Receive an archive into the new file `into`, verified by its size and the SHA-256 stored with it.

        Whatever is raised, there is no file. A legacy archive has no SHA-256 to be verified by.

        Raises:
            ObjectNotFoundError: it has been removed.
            ArchiveDamagedError: not what was stored; use an older one.
            DiskLowError, UnavailableError: this disk does not take it; the archive may be good.
        """
        await self._transfer(partial(self._catalogue.fetch, ref, into))

    async def newest_first(self, workspace_id: str, session_id: str) -> tuple[ArchiveRef, ...]:
        """Return all archives of a session but legacy ones; an empty tuple is the store's answer: there is none."""
        return await self._run(partial(self._catalogue.newest_first, workspace_id, session_id))

    async def find_legacy(self, workspace_id: str, session_id: str, prefix: str) -> tuple[ArchiveRef, ...]:
        """Return the zips that a Node service left for a session, last stored first; empty: there certainly is none.

        Looks where `legacy_keys` says; `prefix` is a further folder to look in, or empty.
        """
        return await self._run(partial(self._catalogue.find_legacy, workspace_id, session_id, prefix))

    async def facts(self, key: str) -> ObjectFacts:
        """Return what is known of one object, with its metadata.

        Raises:
            ObjectNotFoundError: the store says that it is not there.
        """
        return await self._run(partial(self._store.head, key))

    async def objects(self, prefix: str) -> AsyncGenerator[ObjectFacts, None]:
        """Yield the objects whose keys begin with `prefix`, in the order of their keys; 1000 cost one request.

        Only one page is in memory. An error may come after some objects: what comes behind them is then not known.
        """
        token: str | None = None
        while True:
            page = await self._run(partial(self._store.page, prefix, token=token))
            for item in page.objects:
                yield item
            token = page.next_token
            if token is None:
                return

    async def delete(self, ref: ArchiveRef) -> None:
        """Remove one archive; no error when it is gone already."""
        await self._run(partial(self._catalogue.delete, ref))

    async def put_mark(self, workspace_id: str, session_id: str, mark: Mark) -> None:
        """Write what is wanted of a session beside its archives, whatever was there; can be repeated."""
        await self._run(partial(self._catalogue.put_mark, workspace_id, session_id, mark))

    async def get_mark(self, workspace_id: str, session_id: str) -> Mark | None:
        """Return a session's mark; None is the store's answer that there is none: it should run.

        Raises:
            DamagedError: what is there is no mark.
        """
        return await self._run(partial(self._catalogue.get_mark, workspace_id, session_id))

    async def drop_mark(self, workspace_id: str, session_id: str) -> None:
        """Remove a session's mark; no error when there is none."""
        await self._run(partial(self._catalogue.drop_mark, workspace_id, session_id))

    async def put_token(self, token: ApiToken) -> None:
        """Write what is known of an API token; can be repeated."""
        await self._run(partial(self._catalogue.put_token, token))

    async def get_token(self, token_id: str) -> ApiToken | None:
        """Return what is known of an API token; None is the store's answer that there is none.

        Raises:
            DamagedError: what is there is no token.
        """
        return await self._run(partial(self._catalogue.get_token, token_id))

    async def drop_token(self, token_id: str) -> None:
        """Remove an API token; no error when there is none."""
        await self._run(partial(self._catalogue.drop_token, token_id))

    async def token_ids(self) -> AsyncGenerator[str, None]:
        """Yield the ids of all API tokens."""
        async for item in self.objects(TOKENS_PREFIX):
            token_id = parse_token_key(item.key)
            if token_id is not None:
                yield token_id

    async def put_bucket_id(self, bucket_id: str) -> None:
        """Give the bucket an id, whatever it had; can be repeated."""
        await self._run(partial(self._catalogue.put_bucket_id, bucket_id))

    async def get_bucket_id(self) -> str | None:
        """Return the bucket's id; None is the store's answer that it has none.

        Raises:
            DamagedError: what is there is no id.
        """
        return await self._run(self._catalogue.get_bucket_id)

    async def health(self) -> StoreHealth:
        """Say whether the store can be used now; never raises."""
        return await self._run(self._check.health)

    def usage(self) -> Usage:
        """Return what this process has asked of the store, without health checks."""
        return self._store.usage.read()

    async def _run(self, work: Callable[[], _T]) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._executor, work)

    async def _transfer(self, work: _Transfer[_T]) -> _T:
        abandoned = Event()
        try:
            return await self._run(partial(work, abandoned=abandoned))
        except asyncio.CancelledError:
            abandoned.set()
            raise
