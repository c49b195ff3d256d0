"""One snapshot, packed for the stores that want it. Owns its temporary directory."""

import shutil
from dataclasses import dataclass, field
from pathlib import Path

from daemon.sessions.record import CopyFacts
from shards.archive.manifest import Manifest
from shards.archive.pack import Packed


@dataclass(frozen=True, kw_only=True)
class Taken:
    """What one snapshot became; a store that has this content already gets nothing.

    `hot_copy` is the body for Redis, `packed` describes the archive in the file `archive`; each is None when it is
    not wanted. `too_large` says that a hot copy was wanted and would be larger than the limit.
    """

    manifest: Manifest
    content_digest: str
    key_id: str | None
    hot_copy: bytes | None = field(default=None, repr=False)
    too_large: bool = False
    packed: Packed | None = None
    work: Path

    @property
    def archive(self) -> Path:
        """Where the packed archive is."""
        return self.work / "archive"

    @property
    def hot_copy_facts(self) -> CopyFacts:
        """What the record will say of the hot copy."""
        assert self.hot_copy is not None
        return self._facts(len(self.hot_copy), key=None)

    def archive_facts(self, key: str) -> CopyFacts:
        """Return what the record will say of the archive stored under `key`."""
        assert self.packed is not None
        return self._facts(self.packed.size_bytes, key=key)

    def discard(self) -> None:
        """Remove the files; blocking."""
        shutil.rmtree(self.work, ignore_errors=True)

    def _facts(self, size_bytes: int, *, key: str | None) -> CopyFacts:
        return CopyFacts(
            at=self.manifest.created_at,
            size_bytes=size_bytes,
            token=self.manifest.token,
            generation=self.manifest.generation,
            clean=self.manifest.clean,
            content_digest=self.content_digest,
            key=key,
            key_id=self.key_id,
        )
