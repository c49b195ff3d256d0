"""Sessions that Redis does not know, begun again from the bucket and from what the platform lists.

What is there is never overwritten. Whose turn it is to call this is decided elsewhere.
"""

import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field

import structlog

from daemon.coordinator.recovering import Mending, plan_mending, recovered
from daemon.core.clock import mono_s, utc_now
from daemon.core.errors import SessionNotFoundError
from daemon.objectstore.archives import Archives
from daemon.objectstore.census import backed_up_at, census
from daemon.registry.registry import Registry
from daemon.registry.tombstones import Tombstone
from daemon.sessions.jobs import AskedSession
from daemon.sessions.known import KnownSession
from daemon.sessions.states import Desired

log = structlog.get_logger()

_BATCH = 50
_TELL_EVERY_S = 10.0

Graves = Mapping[tuple[str, str], Tombstone]


@dataclass(kw_only=True)
class Tally:
    """What was found and done. `begun`: sessions that Redis did not know and that run now."""

    looked_at: int = 0
    begun: list[str] = field(default_factory=list)
    stopped: int = 0
    tombstones: int = 0
    told_mono_s: float = field(default_factory=mono_s)


class LostSessions:
    """Brings lost sessions back into Redis."""

    def __init__(self, registry: Registry, archives: Archives, *, legacy_prefix: str) -> None:
        self._registry = registry
        self._archives = archives
        self._legacy_prefix = legacy_prefix

    async def begin_all(self, listed: Mapping[str, KnownSession] | None) -> Tally:
        """Begin what the bucket knows, and of what is `listed` by the platform also the rest.

        With a list, only what is on it runs. Begun sessions are placed while others are still being looked for.

        Raises:
            UnavailableError: a store; what was written stays.
        """
        tally, rest = Tally(), dict(listed or {})
        wanted = frozenset(listed) if listed is not None else None
        graves = await self._graves()
        async for batch in self._batches():
            await self._mend(batch, graves, wanted, tally)
            for known in batch:
                rest.pop(known.session_id, None)
            self._tell(tally)
        await self.begin_listed(list(rest.values()), tally, graves)
        return tally

    async def begin_listed(self, listed: Sequence[KnownSession], tally: Tally, graves: Graves | None = None) -> None:
        """Begin sessions of which only the platform is known to know; what can be restored shows when they start."""
        graves = await self._graves() if graves is None else graves
        for known in listed:
            grave = graves.get((known.workspace_id, known.session_id))
            tally.looked_at += 1
            await self._create(known, Mending(record=recovered(known, Desired.RUNNING, _void(grave), utc_now())), tally)

    async def begin_named(self, asked: AskedSession, tally: Tally) -> None:
        """Begin one session that a person named, if the bucket has an archive of it that may be restored."""
        if asked.workspace_id is None:
            return
        refs = await self._archives.newest_first(asked.workspace_id, asked.session_id)
        if not refs:
            return
        facts = await self._archives.facts(refs[0].key)
        mark = await self._archives.get_mark(asked.workspace_id, asked.session_id)
        known = KnownSession(
            session_id=asked.session_id,
            workspace_id=asked.workspace_id,
            user_id=asked.user_id or facts.metadata.get("user-id"),
            void_token=mark.void_token if mark else 0,
            # A stop that its mark tells of is undone by this wish; a delete is not.
            newest=refs[0].order,
            backed_up_at=backed_up_at(facts),
            wished_at=mark.at if mark else None,
            marked=mark.text if mark else None,
        )
        wanted = frozenset({asked.session_id})
        await self._mend([known], await self._graves(), wanted, tally)

    async def _graves(self) -> Graves:
        return {(g.workspace_id, g.session_id): g for g in await self._registry.tombstones.all()}

    async def _batches(self) -> AsyncIterator[list[KnownSession]]:
        batch: list[KnownSession] = []
        async with contextlib.aclosing(census(self._archives, legacy_prefix=self._legacy_prefix)) as sessions:
            async for known in sessions:
                batch.append(known)
                if len(batch) == _BATCH:
                    yield batch
                    batch = []
        if batch:
            yield batch

    async def _mend(
        self, batch: Sequence[KnownSession], graves: Graves, wanted: frozenset[str] | None, tally: Tally
    ) -> None:
        found = await self._registry.records.get_many([known.session_id for known in batch])
        records = {record.session_id: record for record in found}
        for known in batch:
            grave = graves.get((known.workspace_id, known.session_id))
            mending = plan_mending(known, records.get(known.session_id), grave, wanted=wanted, now=utc_now())
            await self._create(known, mending, tally)
            tally.looked_at += 1

    async def _create(self, known: KnownSession, mending: Mending, tally: Tally) -> None:
        if mending.tombstone is not None:
            await self._registry.tombstones.put(mending.tombstone)
            tally.tombstones += 1
        if mending.void_token is not None:
            with contextlib.suppress(SessionNotFoundError):
                await self._registry.records.write_wish(known.session_id, {"void_token": mending.void_token})
        if mending.record is None or not await self._registry.records.create(mending.record):
            return
        if await self._deleted_meanwhile(known):
            return
        if mending.record.desired is Desired.RUNNING:
            tally.begun.append(known.session_id)
            await self._registry.wakes.wake("session", known.session_id)
        else:
            tally.stopped += 1

    async def _deleted_meanwhile(self, known: KnownSession) -> bool:
        """Take back the record that was just made for a session that was deleted since its tombstone was looked for.

        A delete writes its tombstone before it removes the record, so whatever record ours followed has one by now.
        """
        grave = await self._registry.tombstones.get(known.workspace_id, known.session_id)
        if grave is None or known.newest is None or known.newest[0] > grave.void_token:
            return False
        with contextlib.suppress(SessionNotFoundError):
            wish = {"desired": Desired.DELETED, "void_token": grave.void_token}
            await self._registry.records.write_wish(known.session_id, wish)
        return True

    def _tell(self, tally: Tally) -> None:
        if mono_s() - tally.told_mono_s >= _TELL_EVERY_S:
            tally.told_mono_s = mono_s()
            log.info("looking for lost sessions", looked_at=tally.looked_at, begun=len(tally.begun))


def _void(grave: Tombstone | None) -> int:
    return grave.void_token if grave else 0
