"""The stored copies of one session as an operator sees them: which archives there are, and going back to one.

Nothing stored is changed here. A rollback is a wish in the record, made in one step; shards do the rest.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from daemon.coordinator.placer import Placer
from daemon.coordinator.seeing import lives
from daemon.core.clock import parse_iso, utc_now
from daemon.core.errors import (
    ArchiveNotFoundError,
    ArchiveVoidError,
    InvalidInputError,
    ObjectNotFoundError,
    UnsavedStateError,
)
from daemon.objectstore.archives import Archives
from daemon.objectstore.catalogue import KEY_ID, ArchiveRef
from daemon.registry.registry import Registry
from daemon.sessions.copies import Order, is_set_aside, is_void
from daemon.sessions.record import SessionRecord
from daemon.sessions.states import AT_REST, WAITS_FOR_START, Desired, SessionState

_PARALLEL = 8


@dataclass(frozen=True, kw_only=True)
class StoredArchive:
    """One archive. What stands beside its bytes is None of one that another service left."""

    token: int
    generation: int
    key: str
    size_bytes: int
    backed_up_at: datetime
    clean: bool | None
    chromium: str | None
    key_id: str | None
    legacy: bool
    void: bool
    """It belongs to a login that was ended."""
    set_aside: bool
    """A rollback passed over it; it can be gone back to."""


@dataclass(frozen=True, kw_only=True)
class ArchivePage:
    """One page of archives, newest first; `next_cursor` is None on the last."""

    archives: tuple[StoredArchive, ...]
    next_cursor: str | None


class StoredCopies:
    """What is stored of sessions."""

    def __init__(self, registry: Registry, placer: Placer, archives: Archives, *, legacy_prefix: str = "") -> None:
        self._registry = registry
        self._placer = placer
        self._archives = archives
        self._legacy_prefix = legacy_prefix

    async def archives(self, record: SessionRecord, *, cursor: str | None, limit: int) -> ArchivePage:
        """Return up to `limit` archives that are older than `cursor`.

        Raises:
            ObjectStoreUnavailableError: nobody knows.
        """
        refs = await self._all(record)
        begin = 0
        if cursor is not None:
            after = _order_of(cursor)
            begin = next((at for at, ref in enumerate(refs) if ref.order < after), len(refs))
        page = refs[begin : begin + limit]
        # Legacy ones share an order, so they are not parted.
        while page and begin + len(page) < len(refs) and refs[begin + len(page)].order == page[-1].order:
            page = refs[begin : begin + len(page) + 1]
        more = begin + len(page) < len(refs)
        found = await self._described(record, page)
        return ArchivePage(
            archives=tuple(found), next_cursor=f"{page[-1].token}-{page[-1].generation}" if more and page else None
        )

    async def roll_back(self, record: SessionRecord, *, generation: int, token: int | None) -> SessionRecord:
        """Have the session restored from an archive: stopped in order with a last backup, then begun from there.

        Raises:
            ArchiveNotFoundError: the store answered that there is no such archive.
            ArchiveVoidError: its login was ended.
            InvalidInputError: several have this generation.
            UnsavedStateError: a living shard has not stored the newest state yet, which would be lost.
            ObjectStoreUnavailableError: nobody knows.
        """
        session_id = record.session_id
        order = _chosen(session_id, await self._all(record), generation, token)
        if is_void(record, order):
            raise ArchiveVoidError(
                "the archive belongs to a login that was ended",
                hint="WhatsApp would not take it; choose one whose void is false, or start the session and scan",
                session_id=session_id,
            )
        if record.unsaved is not None and record.status in AT_REST and await lives(self._registry, record.unsaved):
            raise UnsavedStateError(
                "the newest state is on a shard's disk only",
                hint="wait until that shard has stored it, so that it is not lost",
                session_id=session_id,
                state=record.status,
            )
        await self._registry.records.roll_back(session_id, order)
        return await self._begun(record)

    async def restore(self, record: SessionRecord) -> SessionRecord:
        """Have the session connected again, as a restore job does: one that runs is left alone, no code is shown."""
        if record.desired is Desired.RUNNING and record.status not in _NOT_RUNNING:
            return record
        await self._registry.records.write_wish(record.session_id, {"desired": Desired.RUNNING}, new_serial=True)
        return await self._begun(record)

    async def _begun(self, record: SessionRecord) -> SessionRecord:
        if record.status in AT_REST:
            rested = {"status": SessionState.PENDING, "status_at": utc_now(), "reason": None, "retry_at": None}
            await self._registry.records.write_at_rest(record.session_id, rested)
        return await self._placer.place_new(await self._registry.records.get(record.session_id))

    async def _all(self, record: SessionRecord) -> Sequence[ArchiveRef]:
        where = (record.workspace_id, record.session_id)
        ours = await self._archives.newest_first(*where)
        return (*ours, *await self._archives.find_legacy(*where, self._legacy_prefix))

    async def _described(self, record: SessionRecord, refs: Sequence[ArchiveRef]) -> list[StoredArchive]:
        """Ask for what is written beside each; one that was removed since the listing is left out."""
        slots = asyncio.Semaphore(_PARALLEL)

        async def one(ref: ArchiveRef) -> StoredArchive | None:
            async with slots:
                try:
                    beside = (await self._archives.facts(ref.key)).metadata
                except ObjectNotFoundError:
                    return None
            return _stored(record, ref, {} if ref.legacy else beside)

        found = await asyncio.gather(*(one(ref) for ref in refs))
        return [archive for archive in found if archive is not None]


_NOT_RUNNING = WAITS_FOR_START | {SessionState.STOPPED, SessionState.FAILED}


def _stored(record: SessionRecord, ref: ArchiveRef, said: Mapping[str, str]) -> StoredArchive:
    clean = said.get("clean")
    return StoredArchive(
        token=ref.token,
        generation=ref.generation,
        key=ref.key,
        size_bytes=ref.size_bytes,
        backed_up_at=_time_of(said.get("backed-up-at"), ref.stored_at),
        clean=None if clean is None else clean == "true",
        chromium=said.get("chromium"),
        key_id=said.get(KEY_ID),
        legacy=ref.legacy,
        void=is_void(record, ref.order),
        set_aside=is_set_aside(record, ref.order),
    )


def _time_of(text: str | None, stored_at: datetime) -> datetime:
    try:
        return parse_iso(text) if text else stored_at
    except ValueError:
        return stored_at


def _order_of(cursor: str) -> Order:
    token, _, generation = cursor.partition("-")
    if not (token.isdecimal() and generation.isdecimal()):
        raise InvalidInputError("not a cursor of this list", field="cursor")
    return (int(token), int(generation))


def _chosen(session_id: str, refs: Sequence[ArchiveRef], generation: int, token: int | None) -> Order:
    found = {ref.order for ref in refs if ref.generation == generation and token in {None, ref.token}}
    if not found:
        raise ArchiveNotFoundError(
            "the session has no such archive", hint="GET .../archives lists them", session_id=session_id
        )
    if len(found) > 1:
        raise InvalidInputError(
            "several archives have this generation", hint="give token as well", field="token", session_id=session_id
        )
    return found.pop()
