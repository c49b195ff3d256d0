"""Restoring a session's profile from the best copy that verifies.

A store that does not answer stops the restore (the session waits and retries); only stores that answered "nothing
there" lead to an empty profile. Nothing local is removed before a verified copy stands in its place.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TypeVar

import structlog

from daemon.core.errors import ArchiveDamagedError, ObjectNotFoundError
from daemon.objectstore.catalogue import ArchiveRef
from daemon.sessions.record import SessionRecord
from shards.archive.manifest import Manifest
from shards.archive.unpack import UnpackLimits, read_manifest, unpack
from shards.context import ShardContext
from shards.page.overlay import OVERLAY_FILE, Overlay
from shards.restore.plan import Source, hot_copy_is_newest, plan_sources

log = structlog.get_logger()
_T = TypeVar("_T")


@dataclass(frozen=True, kw_only=True)
class Restored:
    """What was put into the profile directory; `source` is `redis`, `r2`, `local`, or None for an empty profile."""

    source: str | None
    manifest: Manifest | None = None
    overlay: Overlay | None = field(default=None, repr=False)
    damaged: int = 0
    """Copies that had to be passed over."""

    @property
    def order(self) -> tuple[int, int] | None:
        """The `(token, generation)` of what was restored."""
        return (self.manifest.token, self.manifest.generation) if self.manifest else None


class Restorer:
    """Restores one session; remembers what the stores said, so that a second try asks only for what is new."""

    def __init__(self, shard: ShardContext, record: SessionRecord) -> None:
        self._shard = shard
        self._record = record
        self._refs: Sequence[ArchiveRef] | None = None

    async def highest_token(self) -> int:
        """Return the highest token in the archive catalogue, 0 when there is none.

        Raises:
            ObjectStoreUnavailableError: nobody knows.
        """
        return max((ref.token for ref in await self._archives()), default=0)

    async def restore(self, into: Path, *, older_than: tuple[int, int] | None = None) -> Restored:
        """Put the best verified copy into the profile directory `into`, or leave an empty one.

        `older_than` passes over copies that WhatsApp did not accept.

        Raises:
            RedisUnavailableError, ObjectStoreUnavailableError: nobody knows what there is; nothing was changed.
            ArchiveTooNewError: the newest copy needs a newer Chromium; nothing was changed.
        """
        body = await self._shard.registry.copies.get(self._record.session_id)
        hot_copy = await self._order_of(body)
        damaged = int(body is not None and hot_copy is None)
        async for source in self._candidates(hot_copy):
            if older_than is not None and source.order >= older_than:
                continue
            try:
                manifest = await self._apply(source, body, into)
            except (ArchiveDamagedError, ObjectNotFoundError) as error:
                damaged += 1
                log.error(
                    "copy cannot be used, trying the next older",
                    source=source.name,
                    order=source.order,
                    code=error.code,
                    error=str(error),
                )
                continue
            overlay = await self._threaded(partial(_take_overlay, into))
            return Restored(source=source.name, manifest=manifest, overlay=overlay, damaged=damaged)
        return await self._without_copy(into, damaged)

    async def _candidates(self, hot_copy: tuple[int, int] | None) -> AsyncIterator[Source]:
        """Yield the copies to try, best first; R2 is asked only once it matters, as a list costs money and time."""
        if hot_copy is not None and hot_copy_is_newest(self._record, hot_copy):
            yield Source(order=hot_copy, ref=None)
            hot_copy = None
        for source in plan_sources(self._record, hot_copy=hot_copy, archives=await self._archives()):
            yield source

    async def _without_copy(self, into: Path, damaged: int) -> Restored:
        if self._record.paired and self._record.void_token < self._record.token and _holds_login(into):
            log.warning("no stored copy, using the profile left on disk")
            return Restored(source="local", damaged=damaged)
        await self._threaded(partial(self._shard.layout.reset_profile, self._record.session_id))
        return Restored(source=None, damaged=damaged)

    async def _order_of(self, body: bytes | None) -> tuple[int, int] | None:
        if body is None:
            return None
        try:
            manifest = await self._threaded(partial(read_manifest, body))
        except ArchiveDamagedError as error:
            log.error("copy cannot be used, trying the next older", source="redis", code=error.code, error=str(error))
            return None
        return (manifest.token, manifest.generation)

    async def _archives(self) -> Sequence[ArchiveRef]:
        if self._refs is None:
            self._refs = await self._shard.archives.newest_first(self._record.workspace_id, self._record.session_id)
        return self._refs

    async def _apply(self, source: Source, hot: bytes | None, into: Path) -> Manifest:
        body = hot if source.ref is None else await self._shard.archives.fetch(source.ref)
        assert body is not None
        return await self._threaded(
            partial(
                unpack,
                body,
                into,
                limits=UnpackLimits(),
                session_id=self._record.session_id,
                max_chromium=self._shard.chromium,
            )
        )

    async def _threaded(self, work: Callable[[], _T]) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._shard.executor, work)


def _take_overlay(profile_dir: Path) -> Overlay | None:
    """Return the overlay that came with a live snapshot and remove its file from the profile."""
    path = profile_dir / OVERLAY_FILE
    if not path.exists():
        return None
    overlay = Overlay.from_json(path.read_bytes())
    path.unlink()
    return overlay


def _holds_login(profile_dir: Path) -> bool:
    return (profile_dir / "Default" / "IndexedDB").is_dir()
