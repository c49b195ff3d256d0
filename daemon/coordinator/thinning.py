"""Thinning: of the archives of living sessions, those that retention does not keep go. Steps are safe to repeat.

One listing of the whole bucket, because a listing is what costs; `plan_retention` decides what goes. Left alone are
sessions without a record (Redis may have lost it), without a stored archive of their own, or about to be deleted,
archives that a tombstone voids (its own business), and whatever is not an archive of ours.
"""

import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from dataclasses import dataclass

import structlog

from daemon.core.clock import utc_now
from daemon.core.errors import ArchiveDamagedError, BlazzError, UnavailableError
from daemon.core.sections import ArchiveSettings
from daemon.objectstore.archives import Archives
from daemon.objectstore.catalogue import ArchiveRef, archive_ref
from daemon.objectstore.facts import ObjectFacts
from daemon.objectstore.retention import plan_retention
from daemon.registry.registry import Registry
from daemon.sessions.copies import awaits_rollback, is_set_aside
from daemon.sessions.record import CopyFacts, SessionRecord
from daemon.sessions.states import Desired

log = structlog.get_logger()

_ALL_ARCHIVES = "workspace_"
_FAILURES_IN_A_ROW = 5


@dataclass(kw_only=True)
class Tally:
    """What one pass did. `failed`: sessions left as they were; `ended_early`: this coordinator leads no more."""

    sessions: int = 0
    removed: int = 0
    failed: int = 0
    ended_early: bool = False


class Thinning:
    """Passes over the bucket. `may_go_on` is asked before each removal: another coordinator may lead by then."""

    def __init__(
        self, registry: Registry, archives: Archives, settings: ArchiveSettings, may_go_on: Callable[[], bool]
    ) -> None:
        self._registry = registry
        self._archives = archives
        self._settings = settings
        self._may_go_on = may_go_on

    async def run(self) -> Tally:
        """Go over all sessions once. A session that fails is left alone.

        Raises:
            UnavailableError: the listing broke off, or one session after another fails; what was done is done.
        """
        tally, in_a_row = Tally(), 0
        async with contextlib.aclosing(by_session(self._archives.objects(_ALL_ARCHIVES))) as sessions:
            async for refs in sessions:
                if not self._may_go_on():
                    tally.ended_early = True
                    break
                tally.sessions += 1
                try:
                    await self._thin(refs, tally)
                    in_a_row = 0
                except BlazzError as error:
                    tally.failed += 1
                    in_a_row += isinstance(error, UnavailableError)
                    session_id = refs[0].session_id
                    log.warning("old archives stay", session_id=session_id, code=error.code, error=str(error))
                    if in_a_row >= _FAILURES_IN_A_ROW:
                        raise
        return tally

    async def _thin(self, refs: Sequence[ArchiveRef], tally: Tally) -> None:
        if not self._plan(refs):
            return  # as for most sessions: Redis need not be asked
        session_id, workspace_id = refs[0].session_id, refs[0].workspace_id
        record = next(iter(await self._registry.records.get_many([session_id])), None)
        newest = _newest_stored(record, workspace_id)
        if record is None or newest is None or awaits_rollback(record):
            return  # what was chosen is needed until something newer than the rollback is stored
        grave = await self._registry.tombstones.get(workspace_id, session_id)
        alive = [ref for ref in refs if grave is None or ref.token > grave.void_token]
        old = self._plan(alive, below=newest.order)
        if record.rollback is not None:
            # What a rollback set aside is no older copy to fall back on: of the others, as many are kept as without it.
            needless = self._plan([ref for ref in alive if not is_set_aside(record, ref.order)], below=newest.order)
            old = tuple(ref for ref in old if ref in needless or is_set_aside(record, ref.order))
        if old:
            await self._check_whole(newest, max(alive, key=lambda ref: ref.order))
            await self._remove(old, tally, kept=len(alive) - len(old))

    def _plan(self, refs: Sequence[ArchiveRef], below: tuple[int, int] | None = None) -> tuple[ArchiveRef, ...]:
        keep = self._settings
        return plan_retention(refs, utc_now(), keep_newest=keep.keep_newest, daily=keep.keep_days, below=below)

    async def _check_whole(self, newest: CopyFacts, listed: ArchiveRef) -> None:
        """See that the newest archive is there as it was stored, both by the record and by the listing.

        Raises:
            ObjectNotFoundError, ArchiveDamagedError: it is not, so the older ones are needed.
        """
        expected = {listed.key: listed.size_bytes}
        if newest.key is not None:
            expected[newest.key] = newest.size_bytes
        for key, size_bytes in expected.items():
            facts = await self._archives.facts(key)
            if facts.size_bytes != size_bytes:
                raise ArchiveDamagedError("the newest archive is not as it was stored", key=key, size_bytes=size_bytes)

    async def _remove(self, old: Sequence[ArchiveRef], tally: Tally, *, kept: int) -> None:
        removed = 0
        try:
            for ref in old:
                if not self._may_go_on():
                    break
                await self._archives.delete(ref)
                removed += 1
        finally:
            tally.removed += removed
            if removed:
                log.info("old archives removed", session_id=old[0].session_id, removed=removed, kept=kept)


def _newest_stored(record: SessionRecord | None, workspace_id: str) -> CopyFacts | None:
    """Return what the record knows as the session's newest archive; None: its archives are left alone."""
    if record is None or record.workspace_id != workspace_id or record.desired is Desired.DELETED:
        return None
    return record.archive


async def by_session(objects: AsyncIterator[ObjectFacts]) -> AsyncGenerator[tuple[ArchiveRef, ...], None]:
    """Gather the archives of each session from a listing, passing over other objects.

    The keys of a session begin with `workspace_{id}/{session_id}/` and no others do. A listing is in the order of its
    keys, so they are neighbours, and a session is complete once another one, or the end, comes. (If a store did not
    keep that order, a session would come in parts, and of each part more would be kept.)
    """
    group: list[ArchiveRef] = []
    async for item in objects:
        ref = archive_ref(item)
        if ref is None:
            continue
        if group and (group[0].workspace_id, group[0].session_id) != (ref.workspace_id, ref.session_id):
            yield tuple(group)
            group = []
        group.append(ref)
    if group:
        yield tuple(group)
