"""Bringing the newest copy of every session under the first of ARCHIVE_KEYS.

A running session is asked for a backup by its shard. One at rest is sealed anew here, as a holder of its lease with a
fencing token of its own: new copies under (that token, generation 1), and nothing old is changed. So it can be killed
at any moment, and run again.
"""

import asyncio
from dataclasses import dataclass
from enum import StrEnum

from daemon.coordinator.asking import ask_shard
from daemon.core.clock import mono_s
from daemon.core.errors import (
    ActionFailedError,
    ArchiveDamagedError,
    ArchiveKeyMissingError,
    ArchiveNotEncryptedError,
    BlazzError,
    DamagedError,
    LeaseHeldError,
    LeaseLostError,
    ObjectNotFoundError,
    OutcomeUnknownError,
    SessionNotConnectedError,
    SessionNotFoundError,
    SettingsError,
    ShardUnavailableError,
    StaleTokenError,
    UnsavedStateError,
)
from daemon.objectstore.catalogue import KEY_ID
from daemon.sessions.commands import CommandKind
from daemon.sessions.copies import may_restore
from daemon.sessions.record import SessionRecord
from daemon.sessions.states import Desired
from shards.archive.head import Head, read_head
from shards.cli.parts import Parts, each
from shards.cli.progress import ProgressLine
from shards.cli.resealing import Resealer
from shards.leases import LeaseKeeper

_LOOK_AGAIN_S = 0.5
_SETTLE_TTLS = 2
"""How many lives of a lease to wait for a session that is just starting or stopping."""


class Outcome(StrEnum):
    """How it is with one session."""

    CURRENT = "current"
    """Its newest copy was under the first key already."""
    ROTATED = "rotated"
    EMPTY = "empty"
    """It has no copies."""
    OLD_SHARD = "old_shard"
    """Its shard took a backup, under another key: it was started before the first key was set."""
    BUSY = "busy"
    """It is starting, stopping or waiting for a scan."""
    LOCKED = "locked"
    """Its newest copy is sealed with a key that is not configured."""
    FAILED = "failed"


DONE = frozenset({Outcome.CURRENT, Outcome.ROTATED, Outcome.EMPTY})


@dataclass(frozen=True, kw_only=True)
class Rotated:
    """How it is with one session; `error` says why it is not done."""

    session_id: str
    outcome: Outcome
    error: BlazzError | None = None


class Rotation:
    """One run over all sessions."""

    def __init__(self, parts: Parts, keeper: LeaseKeeper, progress: ProgressLine) -> None:
        """
        Raises:
            SettingsError: there is no key to bring anything under.
        """
        if parts.keyring.sealing is None:
            raise SettingsError("ARCHIVE_KEYS is not set, so there is no key to seal with", hint="see `blazz keys new`")
        self._key_id = parts.keyring.sealing
        self._parts = parts
        self._progress = progress
        self._resealer = Resealer(parts, keeper)
        self.results: list[Rotated] = []

    async def run(self) -> None:
        """Go through all sessions.

        Raises:
            RedisUnavailableError, ObjectStoreUnavailableError: what is not in `results` was not looked at.
        """
        records = await self._parts.registry.records.all()
        self._progress.expect(len(records))
        await each(records, self._settle)

    async def _settle(self, record: SessionRecord) -> None:
        result = await self._rotate(record)
        self.results.append(result)
        if result.outcome not in DONE:
            assert result.error is not None
            self._progress.print(f"{result.outcome} {result.error.code} {result.session_id}: {result.error.message}")
        self._progress.step()

    async def _rotate(self, record: SessionRecord) -> Rotated:
        session_id = record.session_id
        try:
            outcome = await self._until_settled(record)
        except (LeaseHeldError, ShardUnavailableError, SessionNotConnectedError, OutcomeUnknownError) as error:
            return Rotated(session_id=session_id, outcome=Outcome.BUSY, error=error)
        except (LeaseLostError, StaleTokenError, UnsavedStateError) as error:
            return Rotated(session_id=session_id, outcome=Outcome.BUSY, error=error)
        except SessionNotFoundError:
            return Rotated(session_id=session_id, outcome=Outcome.EMPTY)  # deleted meanwhile
        except (ArchiveKeyMissingError, ArchiveNotEncryptedError) as error:
            return Rotated(session_id=session_id, outcome=Outcome.LOCKED, error=error)
        except (DamagedError, ActionFailedError, ObjectNotFoundError) as error:
            return Rotated(session_id=session_id, outcome=Outcome.FAILED, error=error)
        if outcome is Outcome.OLD_SHARD:
            stale = SettingsError("its shard still seals with another key: restart the shards first")
            return Rotated(session_id=session_id, outcome=outcome, error=stale)
        return Rotated(session_id=session_id, outcome=outcome)

    async def _until_settled(self, record: SessionRecord) -> Outcome:
        """Try until it is done or the session has been neither up nor at rest for long."""
        deadline_mono_s = mono_s() + _SETTLE_TTLS * self._parts.registry.leases.ttl_ms / 1000
        while True:
            try:
                return await self._try(await self._parts.registry.records.get(record.session_id))
            except (LeaseHeldError, ShardUnavailableError):
                if mono_s() >= deadline_mono_s:
                    raise
            await asyncio.sleep(_LOOK_AGAIN_S)

    async def _try(self, record: SessionRecord) -> Outcome:
        key_ids = await self._key_ids(record)
        if not key_ids or record.desired is Desired.DELETED:
            return Outcome.EMPTY
        if key_ids == {self._key_id}:
            return Outcome.CURRENT
        if not await self._parts.registry.leases.held([record.session_id]):
            return Outcome.ROTATED if await self._resealer.reseal(record.session_id) else Outcome.EMPTY
        timeout_s = self._parts.settings.coordinator.command_timeout_ms / 1000
        await ask_shard(self._parts.registry, record, CommandKind.BACKUP, {}, timeout_s=timeout_s)
        fresh = await self._key_ids(await self._parts.registry.records.get(record.session_id))
        return Outcome.ROTATED if fresh == {self._key_id} else Outcome.OLD_SHARD

    async def _key_ids(self, record: SessionRecord) -> set[str | None]:
        """Return what the newest archive and the hot copy are sealed with.

        A hot copy that stayed because later ones are too large is as good as none.
        """
        refs = await self._parts.archives.newest_first(record.workspace_id, record.session_id)
        newest = next((ref for ref in refs if may_restore(record, ref.order)), None)
        found: set[str | None] = set()
        if newest is not None:
            found.add((await self._parts.archives.facts(newest.key)).metadata.get(KEY_ID))
        body = await self._parts.registry.copies.get(record.session_id)
        head = _head(body) if body is not None and record.hot_copy_reason is None else None
        if head is not None and may_restore(record, head.order):
            found.add(head.key_id)
        return found


def _head(body: bytes) -> Head | None:
    try:
        return read_head(body)
    except ArchiveDamagedError:
        return None
