"""Recovery: sessions that Redis lost are taken from the bucket again. The leader's work.

Once in each epoch of Redis (see daemon/registry/epoch.py), and not before every holder that is alive has written its
record again. What is there is never overwritten; what cannot be asked is asked again.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

import structlog

from daemon.coordinator.leader import Leadership
from daemon.coordinator.recovering import Mending, plan_mending, recovered
from daemon.core.clock import mono_s, utc_now
from daemon.core.errors import SessionNotFoundError
from daemon.core.loops import first_done
from daemon.core.settings import Settings
from daemon.objectstore.archives import Archives
from daemon.objectstore.census import census
from daemon.platform.database import PlatformDatabase
from daemon.registry.epoch import Epoch
from daemon.registry.registry import Registry
from daemon.registry.tombstones import Tombstone
from daemon.sessions.known import KnownSession
from daemon.sessions.states import Desired

log = structlog.get_logger()

_BATCH = 50
_TELL_EVERY_S = 10.0


@dataclass(kw_only=True)
class _Tally:
    looked_at: int = 0
    running: int = 0
    stopped: int = 0
    tombstones: int = 0
    told_mono_s: float = 0.0


class Recovery:
    """Looks whether Redis is a new one, and fills it; ends soon after `stop` is set."""

    def __init__(
        self,
        registry: Registry,
        archives: Archives,
        platform: PlatformDatabase | None,
        leadership: Leadership,
        settings: Settings,
        stop: asyncio.Event,
    ) -> None:
        """`platform` says which sessions should run; None: whatever the bucket has and nobody stopped."""
        self._registry = registry
        self._archives = archives
        self._platform = platform
        self._leadership = leadership
        self._on = settings.coordinator.recover == "on"
        self._legacy_prefix = settings.archive.legacy_prefix
        self._wait_ms = settings.shard.lease_ttl_ms
        self._stop = stop

    async def cycle(self) -> None:
        """Recover, if this coordinator leads and it has not been done in this epoch.

        Raises:
            UnavailableError: a store or the platform; what was written stays, and the next call begins anew.
        """
        if not self._on or not self._leadership.leading:
            return
        epoch = await self._registry.epochs.read()
        if await self._registry.epochs.recovered() == epoch.epoch_id:
            return
        if epoch.age_ms < self._wait_ms:
            return  # holders that are alive write their records again meanwhile
        await first_done(self._recover(epoch), self._stopped())

    async def _stopped(self) -> None:
        await self._stop.wait()

    async def _recover(self, epoch: Epoch) -> None:
        tally, began_mono_s = _Tally(told_mono_s=mono_s()), mono_s()
        log.info("Redis is new, restarted or fell back: looking in the bucket for sessions that it does not know")
        listed = await self._listed()
        wanted = frozenset(listed) if listed is not None else None
        graves = {(g.workspace_id, g.session_id): g for g in await self._registry.tombstones.all()}
        async for batch in self._batches():
            await self._mend(batch, graves, wanted, tally)
            for known in batch:
                if listed is not None:
                    listed.pop(known.session_id, None)
            self._tell(tally)
        await self._only_listed(list((listed or {}).values()), graves, tally)
        await self._registry.epochs.set_recovered(epoch)
        log.info(
            "recovery done",
            looked_at=tally.looked_at,
            begun=tally.running,
            kept_stopped=tally.stopped,
            tombstones=tally.tombstones,
            took_s=round(mono_s() - began_mono_s, 1),
        )

    async def _listed(self) -> dict[str, KnownSession] | None:
        """Return what the platform says should run, None without a platform."""
        if self._platform is None:
            return None
        return {known.session_id: known for known in await self._platform.connected_sessions()}

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
        self,
        batch: Sequence[KnownSession],
        graves: dict[tuple[str, str], Tombstone],
        wanted: frozenset[str] | None,
        tally: _Tally,
    ) -> None:
        found = await self._registry.records.get_many([known.session_id for known in batch])
        records = {record.session_id: record for record in found}
        for known in batch:
            grave = graves.get((known.workspace_id, known.session_id))
            record = records.get(known.session_id)
            await self._apply(known, plan_mending(known, record, grave, wanted=wanted, now=utc_now()), tally)
            tally.looked_at += 1

    async def _apply(self, known: KnownSession, mending: Mending, tally: _Tally) -> None:
        if mending.tombstone is not None:
            await self._registry.tombstones.put(mending.tombstone)
            tally.tombstones += 1
        if mending.void_token is not None:
            with contextlib.suppress(SessionNotFoundError):
                await self._registry.records.write_wish(known.session_id, {"void_token": mending.void_token})
        if mending.record is not None and await self._registry.records.create(mending.record):
            if mending.record.desired is Desired.RUNNING:
                tally.running += 1
            else:
                tally.stopped += 1

    async def _only_listed(
        self, listed: Sequence[KnownSession], graves: dict[tuple[str, str], Tombstone], tally: _Tally
    ) -> None:
        """Begin what only the platform knows: there is nothing to restore, which its state will say."""
        for known in listed:
            grave = graves.get((known.workspace_id, known.session_id))
            void_token = grave.void_token if grave else 0
            record = recovered(known, Desired.RUNNING, void_token, utc_now())
            tally.looked_at += 1
            tally.running += await self._registry.records.create(record)

    def _tell(self, tally: _Tally) -> None:
        if mono_s() - tally.told_mono_s >= _TELL_EVERY_S:
            tally.told_mono_s = mono_s()
            log.info("recovering", looked_at=tally.looked_at, begun=tally.running)
