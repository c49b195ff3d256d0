"""Adopting what a Node service left in the bucket: each of its zips becomes an archive of ours, older than all others.

The original is never changed or removed. What is adopted already is skipped, so it can be run again at any time.
"""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import partial
from pathlib import Path

from daemon.core.errors import DamagedError, InvalidInputError, ObjectExistsError, ObjectNotFoundError
from daemon.core.ids import check_id
from daemon.objectstore.catalogue import ArchiveFacts, ArchiveRef
from shards.archive.legacy import unpack_legacy
from shards.archive.pack import ManifestFacts, Packed, describe, pack
from shards.cli.finding import Found, by_session, find_zips
from shards.cli.parts import Parts, each
from shards.cli.progress import ProgressLine
from shards.profile.mending import mend
from shards.profile.space import check_free_space

CHROMIUM_NOT_KNOWN = "0"
_USER_NOT_KNOWN = "unknown"


class Outcome(StrEnum):
    """What became of one zip."""

    ADOPTED = "adopted"
    WOULD_ADOPT = "would_adopt"
    """Good, and left alone because only a look was asked for."""
    PRESENT = "present"
    """Adopted before."""
    HAS_NEWER = "has_newer"
    """The session has archives of ours already."""
    OLDER = "older"
    """A later zip of the same session was taken."""
    DAMAGED = "damaged"
    GONE = "gone"
    """Removed or replaced while it was read, as by a Node service that still runs."""
    NO_WORKSPACE = "no_workspace"
    """Nothing says which workspace it belongs to."""


FAILED = frozenset({Outcome.DAMAGED, Outcome.GONE, Outcome.NO_WORKSPACE})


@dataclass(frozen=True, kw_only=True)
class Adopted:
    """What became of one zip; `code` and `message` say what is wrong with it."""

    found: Found
    outcome: Outcome
    archive_key: str | None = None
    code: str = ""
    message: str = ""


@dataclass(kw_only=True)
class Adoption:
    """One run over a bucket: its results so far, and how many objects are no zips of a Node service."""

    parts: Parts
    workspace_id: str | None
    dry_run: bool
    results: list[Adopted] = field(default_factory=list)
    passed_over: int = 0

    async def run(self, prefix: str, progress: ProgressLine) -> None:
        """Adopt everything below `prefix`.

        Raises:
            ObjectStoreUnavailableError, ObjectStoreRefusedError: what is not in `results` is as it was.
        """
        found, self.passed_over = await find_zips(self.parts, prefix, workspace_id=self.workspace_id)
        progress.expect(len(found))

        async def adopt(group: Sequence[Found]) -> None:
            for result in await self._adopt_group(group):
                self.results.append(result)
                progress.step()

        await each(by_session(found), adopt)
        self.results.sort(key=lambda result: result.found.item.key)

    async def _adopt_group(self, group: Sequence[Found]) -> list[Adopted]:
        """Adopt the newest good zip of one session."""
        first = group[0]
        if first.workspace_id is None:
            message = "give the workspace with --workspace"
            return [Adopted(found=found, outcome=Outcome.NO_WORKSPACE, message=message) for found in group]
        present = await self.parts.archives.newest_first(first.workspace_id, first.session_id)
        skipped = _skipped(present)
        if skipped is not None:
            return [Adopted(found=found, outcome=skipped, archive_key=present[0].key) for found in group]
        results: list[Adopted] = []
        taken = False
        for found in group:
            if taken:
                results.append(Adopted(found=found, outcome=Outcome.OLDER))
                continue
            results.append(await self._adopt(found))
            taken = results[-1].outcome not in FAILED
        return results

    async def _adopt(self, found: Found) -> Adopted:
        check_free_space(self.parts.scratch, min_free_bytes=self.parts.settings.paths.min_free_bytes)
        with tempfile.TemporaryDirectory(prefix="adopt-", dir=self.parts.scratch) as folder:
            work = Path(folder)
            try:
                await self.parts.archives.fetch(_ref(found), work / "theirs.zip")
                await self.parts.threaded(partial(self._unpack, work))
            except ObjectNotFoundError as error:
                return Adopted(found=found, outcome=Outcome.GONE, code=error.code, message=error.message)
            except DamagedError as error:
                return Adopted(found=found, outcome=Outcome.DAMAGED, code=error.code, message=error.message)
            found = replace(found, user_id=found.user_id or await self._user_in_metadata(found.item.key))
            if self.dry_run:
                return Adopted(found=found, outcome=Outcome.WOULD_ADOPT)
            packed = await self.parts.threaded(partial(self._pack, found, work))
            return await self._store(found, packed, work / "ours.zip")

    def _unpack(self, work: Path) -> None:
        unpack_legacy(work / "theirs.zip", work / "files", limits=self.parts.limits)
        (work / "theirs.zip").unlink()  # not everything on the disk at once
        # It was copied from under a running Chromium: databases that cannot be opened are no login.
        mend(work / "files")

    def _pack(self, found: Found, work: Path) -> Packed:
        manifest = describe(work / "files", _manifest_facts(found))
        return pack(work / "files", manifest, work / "ours.zip", keyring=self.parts.keyring)

    async def _store(self, found: Found, packed: Packed, path: Path) -> Adopted:
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
        try:
            ref = await self.parts.archives.store(facts, path, md5=packed.md5)
        except ObjectExistsError as error:
            return Adopted(found=found, outcome=Outcome.PRESENT, archive_key=error.ids.get("key"))
        return Adopted(found=found, outcome=Outcome.ADOPTED, archive_key=ref.key)

    async def _user_in_metadata(self, key: str) -> str:
        try:
            return check_id((await self.parts.archives.facts(key)).metadata.get("user-id", ""), "user_id")
        except (InvalidInputError, ObjectNotFoundError):
            return _USER_NOT_KNOWN


def _skipped(present: Sequence[ArchiveRef]) -> Outcome | None:
    if any(ref.order == (0, 0) for ref in present):
        return Outcome.PRESENT
    return Outcome.HAS_NEWER if present else None


def _ref(found: Found) -> ArchiveRef:
    assert found.workspace_id is not None
    return ArchiveRef(
        session_id=found.session_id,
        workspace_id=found.workspace_id,
        token=0,
        generation=0,
        key=found.item.key,
        size_bytes=found.item.size_bytes,
        stored_at=found.item.stored_at,
        legacy=True,
    )


def _manifest_facts(found: Found) -> ManifestFacts:
    assert found.workspace_id is not None and found.user_id is not None
    return ManifestFacts(
        session_id=found.session_id,
        workspace_id=found.workspace_id,
        user_id=found.user_id,
        token=0,
        generation=0,
        created_at=found.item.stored_at,
        chromium=CHROMIUM_NOT_KNOWN,
        clean=False,
    )
