"""Sealing the newest copy of one session at rest anew, as the holder of its lease.

Every step is safe to be the last one: a lease that is not given back runs out, a new archive holds what the one before
it holds, and whoever restores looks for the newest that verifies.
"""

import os
import secrets
import socket
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from daemon.core.errors import ArchiveDamagedError, DamagedError, LeaseLostError, ObjectNotFoundError, UnsavedStateError
from daemon.objectstore.catalogue import ArchiveFacts, ArchiveRef
from daemon.registry.leases import Lease
from daemon.sessions.copies import Order
from daemon.sessions.record import CopyFacts, SessionRecord
from daemon.sessions.states import Desired
from shards.archive.head import read_head
from shards.archive.hot import pack_hot, unpack_hot
from shards.archive.manifest import Manifest
from shards.archive.pack import Packed, pack
from shards.archive.unpack import Expected, unpack
from shards.backup.copier import TOO_LARGE
from shards.cli.parts import Parts
from shards.granting import take_lease
from shards.leases import LeaseKeeper
from shards.profile.space import check_free_space
from shards.restore.plan import Source, plan_sources

_GENERATION = 1


class _Held:
    """A lease, and whether it is still ours."""

    def __init__(self, lease: Lease) -> None:
        self.lease = lease
        self._lost = ""

    def lose(self, reason: str) -> None:
        self._lost = reason

    def check(self) -> None:
        """
        Raises:
            LeaseLostError: somebody else may run the session by now.
        """
        if self._lost:
            raise LeaseLostError(self._lost, session_id=self.lease.session_id)


@dataclass(frozen=True, kw_only=True)
class _Resealed:
    packed: Packed
    hot_copy: bytes | None


class Resealer:
    """Seals copies with the first key of the keyring."""

    def __init__(self, parts: Parts, keeper: LeaseKeeper) -> None:
        self._parts = parts
        self._keeper = keeper
        self._holder = f"command:{socket.gethostname()}:{os.getpid()}-{secrets.token_hex(4)}"

    async def reseal(self, session_id: str) -> bool:
        """Store the newest good copy again, in both stores, under a new token; False when there is none to store.

        Raises:
            LeaseHeldError: somebody runs the session; nothing was changed.
            UnsavedStateError: its newest state is on a shard's disk only; nothing was changed.
            LeaseLostError, StaleTokenError: somebody runs it by now; what was stored is older than what they store.
            ArchiveKeyMissingError: the newest copy cannot be opened; nothing was changed.
            ArchiveDamagedError: no copy is good; nothing was changed.
            SessionNotFoundError: it was deleted.
            UnavailableError: a store or the disk; run it again.
        """
        record = await self._parts.registry.records.get(session_id)
        async with self._lease(record) as held:
            record = await self._parts.registry.records.get(session_id)
            if record.desired is Desired.DELETED:
                return False
            if record.unsaved is not None:
                raise UnsavedStateError(
                    f"has a newer state on {record.unsaved} that is not stored yet",
                    hint="start the session, or wait until that shard has stored it",
                    session_id=session_id,
                )
            check_free_space(self._parts.scratch, min_free_bytes=self._parts.settings.paths.min_free_bytes)
            with tempfile.TemporaryDirectory(prefix="reseal-", dir=self._parts.scratch) as folder:
                work = Path(folder)
                manifest = await self._newest(record, work)
                if manifest is None:
                    return False
                manifest = replace(manifest, token=held.lease.token, generation=_GENERATION)
                resealed = await self._parts.threaded(partial(self._pack, manifest, work))
                await self._store(held, resealed, work / "archive")
        return True

    @asynccontextmanager
    async def _lease(self, record: SessionRecord) -> AsyncIterator[_Held]:
        async def highest_stored() -> int:
            refs = await self._parts.archives.newest_first(record.workspace_id, record.session_id)
            return max((ref.token for ref in refs), default=0)

        lease, asked_boot_s = await take_lease(
            self._parts.registry.leases, record.session_id, self._holder, highest_stored=highest_stored
        )
        held = _Held(lease)
        self._keeper.hold(lease, asked_boot_s=asked_boot_s, fence=held.lose)
        try:
            yield held
        finally:
            await self._keeper.release(held.lease)

    async def _newest(self, record: SessionRecord, work: Path) -> Manifest | None:
        """Unpack the newest good copy; None when there is no copy at all."""
        body = await self._parts.registry.copies.get(record.session_id)
        archives = await self._parts.archives.newest_first(record.workspace_id, record.session_id)
        error: DamagedError | ObjectNotFoundError | None = None
        for source in self._sources(record, body, archives):
            try:
                return await self._unpack(record, source, body, work)
            except (DamagedError, ObjectNotFoundError) as damage:
                error = error or damage
        if error is not None:
            raise error
        return None

    def _sources(self, record: SessionRecord, body: bytes | None, archives: Sequence[ArchiveRef]) -> tuple[Source, ...]:
        hot_copy: Order | None = None
        if body is not None:
            try:
                hot_copy = read_head(body).order
            except ArchiveDamagedError:
                hot_copy = None
        return plan_sources(record, local=None, hot_copy=hot_copy, archives=archives)

    async def _unpack(self, record: SessionRecord, source: Source, body: bytes | None, work: Path) -> Manifest:
        parts, files = self._parts, work / "files"
        expected = Expected(session_id=record.session_id, order=source.order)
        if source.ref is None:
            assert body is not None
            return await parts.threaded(
                partial(unpack_hot, body, files, limits=parts.limits, keyring=parts.keyring, expected=expected)
            )
        archive = work / "old"
        archive.unlink(missing_ok=True)
        await parts.archives.fetch(source.ref, archive)
        open_it = partial(
            unpack,
            archive,
            files,
            limits=parts.limits,
            keyring=parts.keyring,
            expected=expected,
            work_dir=work,
        )
        manifest = await parts.threaded(open_it)
        archive.unlink()
        return manifest

    def _pack(self, manifest: Manifest, work: Path) -> _Resealed:
        limit_bytes = self._parts.settings.backup.hot_copy_max_bytes
        hot_copy = pack_hot(work / "files", manifest, keyring=self._parts.keyring, limit_bytes=limit_bytes)
        packed = pack(work / "files", manifest, work / "archive", keyring=self._parts.keyring)
        return _Resealed(packed=packed, hot_copy=hot_copy)

    async def _store(self, held: _Held, resealed: _Resealed, path: Path) -> None:
        archives_on = self._parts.settings.backup.enabled
        order = resealed.packed.manifest.order
        # First the record: an end of the login must void our token, too, and a restore must look into R2.
        begun: dict[str, object] = {"token": held.lease.token}
        await self._write(held, begun | ({"archive_begun": order} if archives_on else {}))
        if archives_on:
            await self._store_archive(held, resealed.packed, path)
        if resealed.hot_copy is None:
            await self._write(held, {"hot_copy_reason": TOO_LARGE})
            if archives_on:
                await self._parts.registry.copies.drop_held(held.lease.session_id, held.lease.token)
        else:
            facts = replace(_copy_facts(resealed.packed), size_bytes=len(resealed.hot_copy))
            held.check()
            await self._parts.registry.copies.put(
                held.lease.session_id, held.lease.token, resealed.hot_copy, facts, evictable=archives_on
            )

    async def _store_archive(self, held: _Held, packed: Packed, path: Path) -> None:
        manifest = packed.manifest
        facts = ArchiveFacts(
            session_id=manifest.session_id,
            workspace_id=manifest.workspace_id,
            user_id=manifest.user_id,
            token=manifest.token,
            generation=manifest.generation,
            backed_up_at=manifest.created_at,
            sha256=packed.sha256,
            clean=manifest.clean,
            chromium=manifest.chromium,
            key_id=packed.key_id,
        )
        ref = await self._parts.archives.store(facts, path, md5=packed.md5)
        await self._write(held, {"archive": replace(_copy_facts(packed), key=ref.key)})

    async def _write(self, held: _Held, fields: dict[str, object]) -> None:
        held.check()
        await self._parts.registry.records.write_held(held.lease.session_id, held.lease.token, fields)


def _copy_facts(packed: Packed) -> CopyFacts:
    manifest = packed.manifest
    return CopyFacts(
        at=manifest.created_at,
        size_bytes=packed.size_bytes,
        token=manifest.token,
        generation=manifest.generation,
        clean=manifest.clean,
        content_digest=packed.content_digest,
        key_id=packed.key_id,
    )
