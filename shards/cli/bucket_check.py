"""Verifying archives of the bucket: fetched, checked as a restore would check them, and removed from the disk again."""

import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from daemon.core.errors import BlazzError, ObjectNotFoundError, ObjectStoreUnavailableError
from daemon.core.ids import check_id
from daemon.objectstore.catalogue import ArchiveRef, archive_ref
from daemon.objectstore.keys import prefix_of
from daemon.objectstore.marks import parse_mark_key
from daemon.objectstore.tokens import parse_token_key
from shards.archive.unpack import Expected
from shards.cli.parts import Parts, each
from shards.cli.progress import ProgressLine
from shards.cli.verifying import Tally, verify_file
from shards.profile.space import check_free_space

_GIVE_UP_AFTER = 8
"""So many archives in a row that the store does not give: it is away, and each of them takes long to find out."""


@dataclass(kw_only=True)
class BucketCheck:
    """Verifying archives of the bucket, a few at once; each is removed from the disk before the next one comes."""

    parts: Parts
    progress: ProgressLine
    tally: Tally = field(default_factory=Tally)
    gone: int = 0
    """Removed by retention between the list and the look."""
    passed_over: int = 0
    """Objects that are no archives of ours."""
    _unreachable: int = 0

    async def run(self, prefix: str) -> Tally:
        """Verify every archive whose name begins with `prefix`.

        Raises:
            ObjectStoreUnavailableError: it did not list them, or stopped giving them; the tally is of the others.
        """
        refs = [ref async for ref in self._refs(prefix)]
        self.progress.expect(len(refs))
        await each(refs, self._check)
        return self.tally

    async def _refs(self, prefix: str) -> AsyncIterator[ArchiveRef]:
        async for item in self.parts.archives.objects(prefix):
            ref = archive_ref(item)
            if ref is not None:
                yield ref
            elif parse_mark_key(item.key) is None and parse_token_key(item.key) is None:
                self.passed_over += 1

    async def _check(self, ref: ArchiveRef) -> None:
        try:
            error = await self._fetch_and_verify(ref)
        except ObjectNotFoundError:
            self.gone += 1
            return
        self.tally.add(ref.key, ref.size_bytes, error, self.progress)
        self._unreachable = self._unreachable + 1 if isinstance(error, ObjectStoreUnavailableError) else 0
        if self._unreachable >= _GIVE_UP_AFTER:
            raise ObjectStoreUnavailableError("the object store stopped giving archives", hint="run it again later")

    async def _fetch_and_verify(self, ref: ArchiveRef) -> BlazzError | None:
        min_free_bytes = self.parts.settings.paths.min_free_bytes + ref.size_bytes
        with tempfile.TemporaryDirectory(prefix="verify-", dir=self.parts.scratch) as folder:
            path = Path(folder, "archive.zip")
            try:
                check_free_space(self.parts.scratch, min_free_bytes=min_free_bytes)
                await self.parts.archives.fetch(ref, path)
            except ObjectNotFoundError:
                raise
            except BlazzError as error:
                return error
            return await self.parts.threaded(
                partial(
                    verify_file,
                    path,
                    keyring=self.parts.keyring,
                    limits=self.parts.limits,
                    expected=Expected(session_id=ref.session_id, order=ref.order),
                    scratch=Path(folder),
                )
            )


def prefix_for(workspace_id: str | None, session_id: str | None) -> str:
    """Return what the names of the wanted archives begin with: of one session, of a workspace, or of all."""
    if workspace_id is None:
        return "workspace_"
    if session_id is None:
        return f"workspace_{check_id(workspace_id, 'workspace_id')}/"
    return prefix_of(workspace_id, session_id)
