"""Restoring a session's profile from the best copy that verifies.

A store that does not answer stops the restore (the session waits and retries); only stores that answered "nothing
there" lead to an empty profile. Nothing local is removed before a verified copy stands in its place.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import structlog

from daemon.core.errors import (
    ArchiveDamagedError,
    ArchiveKeyMissingError,
    ArchiveNotEncryptedError,
    ArchiveTooNewError,
    BlazzError,
    DamagedError,
    ObjectNotFoundError,
)
from daemon.objectstore.catalogue import ArchiveRef
from daemon.sessions.copies import Order, awaits_rollback, is_void
from daemon.sessions.record import SessionRecord
from shards.archive.head import read_head
from shards.archive.hot import unpack_hot
from shards.archive.legacy import unpack_legacy
from shards.archive.manifest import version_numbers
from shards.archive.unpack import Expected, unpack
from shards.context import ShardContext
from shards.page.overlay import OVERLAY_FILE, Overlay
from shards.profile.files import holds_login
from shards.profile.marker import read_mark
from shards.profile.mending import mend
from shards.profile.space import check_free_space
from shards.restore.caches import PageCaches
from shards.restore.phases import FETCH, UNPACK, VERIFY, Phases
from shards.restore.plan import Place, Source, is_newest, plan_sources
from shards.restore.restored import Restored

log = structlog.get_logger()
_T = TypeVar("_T")


class Restorer:
    """Restores one session; remembers what the stores said, so that a second try asks only for what is new."""

    def __init__(
        self,
        shard: ShardContext,
        record: SessionRecord,
        *,
        tell: Callable[[Mapping[str, Any]], Awaitable[None]] | None = None,
    ) -> None:
        """`tell` is given the facts of each copy that cannot be used."""
        self._shard = shard
        self._record = record
        self._tell = tell
        self._caches = PageCaches(shard, record)
        self._keep: Sequence[str] = ()
        self._refs: Sequence[ArchiveRef] | None = None
        self._body: bytes | None = None
        self._damaged = 0
        self._phases = Phases()
        self._local_chromium, self._local_too_new = "", False

    async def highest_token(self) -> int:
        """Return the highest token in the archive catalogue, 0 when there is none.

        Raises:
            ObjectStoreUnavailableError: nobody knows.
        """
        return max((ref.token for ref in await self._archives()), default=0)

    async def restore(self, into: Path, *, older_than: Order | None = None) -> Restored:
        """Put the best verified copy into the profile directory `into`, or leave an empty one.

        `older_than` passes over copies that WhatsApp did not accept.

        Raises:
            RedisUnavailableError, ObjectStoreUnavailableError: nobody knows what there is; nothing was changed.
            DiskLowError, UnavailableError: the disk does not take it; nothing was changed.
            ArchiveTooNewError: the newest copy needs a newer Chromium; nothing was changed.
            ArchiveKeyMissingError: the newest copy needs a key that is not in ARCHIVE_KEYS; nothing was changed.
            ArchiveNotEncryptedError: it is plain, and ARCHIVE_ACCEPT_PLAIN is false; nothing was changed.
        """
        layout = self._shard.layout
        check_free_space(layout.root, min_free_bytes=self._shard.settings.paths.min_free_bytes)
        self._damaged, self._phases = 0, Phases()
        self._keep = await self._threaded(partial(self._caches.to_keep, into)) if older_than is None else ()
        restored = await self._best(into, older_than)
        unpacked = restored.source in {Place.REDIS, Place.R2}
        await self._threaded(partial(self._caches.before_opening, into, unpacked=unpacked))
        return replace(restored, phases=self._phases)

    async def _best(self, into: Path, older_than: Order | None) -> Restored:
        async for source in self._candidates(into):
            if older_than is not None and source.order >= older_than:
                continue
            try:
                await self._apply(source, into)
                await self._mend(into)
                overlay = await self._threaded(partial(_take_overlay, into))
            except (DamagedError, ObjectNotFoundError) as error:
                await self._pass_over(source.place, source.order, error)
                continue
            except (ArchiveTooNewError, ArchiveKeyMissingError, ArchiveNotEncryptedError) as error:
                if self._record.reason != error.code:  # else it has been told
                    await self._report(source.place, source.order, error, trying_older=False)
                raise
            return Restored(source=source.place, order=source.order, overlay=overlay, damaged=self._damaged)
        if older_than is not None:
            return Restored(source=None, damaged=self._damaged)  # what was refused stays as it is
        return await self._without_copy(into)

    async def _candidates(self, into: Path) -> AsyncIterator[Source]:
        """Yield the copies to try, best first; a store is asked only once it matters, as that costs money and time."""
        local, touched = await self._local(into)
        if local is not None and is_newest(self._record, local, strictly=touched):
            yield Source(order=local, place=Place.LOCAL)
            local = None
        hot_copy = await self._hot_copy()
        if hot_copy is not None and is_newest(self._record, hot_copy) and (local is None or hot_copy > local):
            yield Source(order=hot_copy, place=Place.REDIS)
            hot_copy = None
        archives = await self._archives()
        for source in plan_sources(self._record, local=local, hot_copy=hot_copy, archives=archives, touched=touched):
            yield source
        if not is_void(self._record, (0, 0)) and self._shard.keyring.accept_plain:
            for ref in await self._legacy():
                yield Source(order=ref.order, place=Place.R2, ref=ref)

    async def _local(self, profile_dir: Path) -> tuple[Order | None, bool]:
        """Return what the profile on disk was when Chromium last left it clean, and whether it was touched since.

        None if nobody knows. A profile that a newer Chromium wrote is worth no more than a touched one.
        """
        left, untouched = await self._threaded(partial(read_mark, profile_dir))
        if left is None or left.session_id != self._record.session_id:
            return None, False
        self._local_too_new = version_numbers(left.chromium) > version_numbers(self._shard.chromium)
        self._local_chromium = left.chromium
        return left.order, not untouched or self._local_too_new

    async def _hot_copy(self) -> Order | None:
        with self._phases.of(FETCH):
            self._body = await self._shard.registry.copies.get(self._record.session_id)
        if self._body is None:
            return None
        try:
            return (await self._threaded(partial(read_head, self._body))).order
        except ArchiveDamagedError as error:
            await self._pass_over(Place.REDIS, None, error)
            return None

    async def _without_copy(self, into: Path) -> Restored:
        if awaits_rollback(self._record) and self._record.paired:
            # What lies here is what was to be left behind; it stays for whoever chooses again.
            return Restored(source=None, damaged=self._damaged)
        if self._record.paired and self._record.void_token < self._record.token and holds_login(into):
            try:
                await self._mend(into)
            except DamagedError as error:
                await self._pass_over(Place.LOCAL, None, error)
                if not self._record.scan_allowed:
                    return Restored(source=None, damaged=self._damaged)  # the files stay, for whoever can mend them
            else:
                log.warning("no stored copy, using the profile left on disk")
                return Restored(source=Place.LOCAL, damaged=self._damaged)
        await self._threaded(partial(self._shard.layout.reset_profile, self._record.session_id))
        return Restored(source=None, damaged=self._damaged)

    async def _archives(self) -> Sequence[ArchiveRef]:
        if self._refs is None:
            self._refs = await self._shard.archives.newest_first(self._record.workspace_id, self._record.session_id)
        return self._refs

    async def _legacy(self) -> Sequence[ArchiveRef]:
        """Return what a Node service has left of this session; asked last, as only a new session has just that."""
        prefix = self._shard.settings.archive.legacy_prefix
        return await self._shard.archives.find_legacy(self._record.workspace_id, self._record.session_id, prefix)

    async def _apply(self, source: Source, into: Path) -> None:
        if source.place is Place.LOCAL:
            self._check_local_version()
            return
        shard = self._shard
        expected = Expected(session_id=self._record.session_id, order=source.order, max_chromium=shard.chromium)
        if source.ref is None:
            assert self._body is not None
            await self._unpacked(
                unpack_hot,
                self._body,
                into,
                limits=shard.limits,
                keyring=shard.keyring,
                expected=expected,
                keep=self._keep,
            )
            return
        await self._apply_archive(source.ref, into, expected)

    def _check_local_version(self) -> None:
        if self._local_too_new:
            raise ArchiveTooNewError(
                "the profile on this disk is the newest state, and a newer Chromium wrote it",
                hint=f"update Chromium on this host to {self._local_chromium} or later",
                session_id=self._record.session_id,
                written_by=self._local_chromium,
                here=self._shard.chromium,
            )

    async def _apply_archive(self, ref: ArchiveRef, into: Path, expected: Expected) -> None:
        shard = self._shard
        with shard.layout.temporary("restore") as folder:
            archive = folder / "archive"
            with self._phases.of(FETCH):
                await shard.archives.fetch(ref, archive)
            if ref.legacy:
                await self._threaded(partial(unpack_legacy, archive, into, limits=shard.limits, keep=self._keep))
                return
            await self._unpacked(
                unpack,
                archive,
                into,
                limits=shard.limits,
                keyring=shard.keyring,
                expected=expected,
                work_dir=folder,
                keep=self._keep,
            )

    async def _unpacked(self, unpack_one: Callable[..., object], *arguments: object, **options: object) -> None:
        """Unpack in a thread: what it takes until the copy is verified as a whole, and from there on."""
        phases = self._phases

        def work() -> None:
            with phases.of(VERIFY) as follow:
                unpack_one(*arguments, **options, on_opened=partial(follow, UNPACK))

        await self._threaded(work)

    async def _mend(self, profile_dir: Path) -> None:
        cut = await self._threaded(partial(mend, profile_dir))
        if cut:
            log.warning("cut off what a killed Chromium left half written", files=cut)

    async def _pass_over(self, place: Place, order: Order | None, error: BlazzError) -> None:
        self._damaged += 1
        await self._report(place, order, error, trying_older=True)

    async def _report(self, place: Place, order: Order | None, error: BlazzError, *, trying_older: bool) -> None:
        log.error(
            "copy cannot be used" + (", trying the next older" if trying_older else ""),
            source=place,
            order=order,
            code=error.code,
            error=str(error),
            hint=error.hint or None,
        )
        if self._tell is not None:
            await self._tell(
                {
                    "source": place,
                    "token": order[0] if order else None,
                    "generation": order[1] if order else None,
                    "code": error.code,
                    "message": error.message,
                    "trying_older": trying_older,
                }
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
