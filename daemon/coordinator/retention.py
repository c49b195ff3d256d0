"""Retention: which archives leave the bucket, and when. The leader's work.

Those of logins that were ended on purpose go once their grace period is over; those of living sessions are thinned.
"""

import asyncio
from collections.abc import Sequence
from datetime import timedelta

import structlog

from daemon.coordinator.leader import Leadership
from daemon.coordinator.thinning import Thinning
from daemon.core.clock import mono_s, utc_now
from daemon.core.errors import BlazzError
from daemon.core.loops import first_done
from daemon.core.settings import Settings
from daemon.objectstore.archives import Archives
from daemon.objectstore.catalogue import ArchiveRef
from daemon.registry.registry import Registry
from daemon.registry.tombstones import Tombstone
from daemon.sessions.record import SessionRecord

log = structlog.get_logger()

_AGAIN_S = 600.0


class Retention:
    """Removes archives, if this coordinator leads, until `stop` is set."""

    def __init__(
        self,
        registry: Registry,
        archives: Archives,
        leadership: Leadership,
        settings: Settings,
        stop: asyncio.Event,
    ) -> None:
        self._registry = registry
        self._archives = archives
        self._leadership = leadership
        self._stop = stop
        self._grace = timedelta(milliseconds=settings.backup.tombstone_grace_ms)
        self._legacy_prefix = settings.archive.legacy_prefix
        self._thinning = Thinning(registry, archives, settings.archive, self._may_go_on)
        self._interval_s = settings.archive.retention_interval_ms / 1000
        self._due_mono_s = mono_s() if settings.backup.enabled else float("inf")

    def _may_go_on(self) -> bool:
        return self._leadership.leading and not self._stop.is_set()

    async def cycle(self) -> None:
        """Remove what tombstones say; thin the archives of living sessions if it is time to. Ends soon after `stop`.

        Raises:
            UnavailableError: the stores; what was not done is done by a later call.
        """
        if self._may_go_on():
            # A store that hangs must not keep the process; a step that is cut off is done again by the next leader.
            await first_done(self._look(), self._stopped())

    async def _stopped(self) -> None:
        await self._stop.wait()

    async def _look(self) -> None:
        for tombstone in await self._registry.tombstones.all():
            if utc_now() - tombstone.at >= self._grace and self._may_go_on():
                await self._try_bury(tombstone)
        if mono_s() >= self._due_mono_s and self._may_go_on():
            await self._thin()

    async def _thin(self) -> None:
        self._due_mono_s = mono_s() + min(self._interval_s, _AGAIN_S)
        tally = await self._thinning.run()
        if not tally.ended_early:
            self._due_mono_s = mono_s() + self._interval_s
            log.info("archives thinned", sessions=tally.sessions, removed=tally.removed, failed=tally.failed)

    async def _try_bury(self, tombstone: Tombstone) -> None:
        try:
            await self._bury(tombstone)
        except BlazzError as error:
            log.warning(
                "archives of an ended login stay", session_id=tombstone.session_id, code=error.code, error=str(error)
            )

    async def _bury(self, tombstone: Tombstone) -> None:
        # Only what the tombstone voids: a session of the same id that was linked again has higher tokens.
        workspace_id, session_id = tombstone.workspace_id, tombstone.session_id
        refs = await self._archives.newest_first(workspace_id, session_id)
        found = await self._archives.find_legacy(workspace_id, session_id, self._legacy_prefix)
        record = next(iter(await self._registry.records.get_many([session_id])), None)
        living = record is not None and record.workspace_id == workspace_id
        limit = min(tombstone.void_token, record.void_token) if record is not None and living else tombstone.void_token
        voided = [ref for ref in refs if ref.token <= limit]
        legacy = _voided_legacy(tombstone, found, record)
        for ref in (*voided, *legacy):
            if not self._may_go_on():
                return
            await self._archives.delete(ref)
        kept = len(refs) + len(found) - len(voided) - len(legacy)
        if not kept and not living:
            # Last of all: while an archive is left, only the mark keeps it from being restored should Redis lose all.
            await self._archives.drop_mark(workspace_id, session_id)
        # Stays if another login of this session has ended since, whose tombstone voids more.
        await self._registry.tombstones.remove(tombstone)
        log.info("archives of an ended login removed", session_id=session_id, archives=len(voided), legacy=len(legacy))


def _voided_legacy(
    tombstone: Tombstone, found: Sequence[ArchiveRef], record: SessionRecord | None
) -> Sequence[ArchiveRef]:
    """Return the zips of a Node service that would else bring the ended login back.

    They are older than any token. A `void_token` of 0 says that the session was deleted before it ever ran; one that
    was made again since counts on the zip.
    """
    if record is None:
        return found
    if record.workspace_id != tombstone.workspace_id:
        # A zip that lies in no workspace's folder may be that of this other session.
        return [ref for ref in found if f"workspace_{tombstone.workspace_id}/" in ref.key]
    return found if max(tombstone.void_token, record.void_token) > 0 else ()
