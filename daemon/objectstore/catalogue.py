"""The archives of sessions: which there are, storing, fetching and removing them. Blocking.

Archives are never changed. The newest of a session is the one with the highest `(token, generation)`.
"""

from dataclasses import dataclass
from datetime import datetime

from daemon.core.clock import iso, utc_now
from daemon.core.errors import ArchiveDamagedError
from daemon.objectstore.keys import ArchiveName, key_of, parse_key, prefix_of
from daemon.objectstore.store import ObjectStore

_CONTENT_TYPE = "application/zip"
MAX_ARCHIVE_BYTES = 512 * 1024 * 1024
"""An archive is sent and received as one piece in memory."""


@dataclass(frozen=True, kw_only=True)
class ArchiveRef:
    """One stored archive. `stored_at` is the store's time, UTC."""

    session_id: str
    workspace_id: str
    token: int
    generation: int
    key: str
    size_bytes: int
    stored_at: datetime

    @property
    def order(self) -> tuple[int, int]:
        """The pair that orders all copies of one session; the highest is the newest."""
        return (self.token, self.generation)


@dataclass(frozen=True, kw_only=True)
class ArchiveFacts:
    """What is written beside an archive's bytes. `sha256` is that of the bytes; `chromium` the version in it."""

    session_id: str
    workspace_id: str
    user_id: str
    token: int
    generation: int
    backed_up_at: datetime
    sha256: str
    clean: bool
    chromium: str

    def metadata(self) -> dict[str, str]:
        """Return them as object metadata."""
        return {
            "user-id": self.user_id,
            "workspace-id": self.workspace_id,
            "backed-up-at": iso(self.backed_up_at),
            "sha256": self.sha256,
            "clean": "true" if self.clean else "false",
            "chromium": self.chromium,
        }


class Catalogue:
    """The archives in one bucket. All errors of `ObjectStore` pass through."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    def store(self, facts: ArchiveFacts, body: bytes) -> ArchiveRef:
        """Store an archive under its name.

        Raises:
            ObjectExistsError: another archive has this token and generation already.
        """
        key = key_of(
            ArchiveName(
                workspace_id=facts.workspace_id,
                session_id=facts.session_id,
                token=facts.token,
                generation=facts.generation,
            )
        )
        self._store.put_new(key, body, metadata=facts.metadata(), content_type=_CONTENT_TYPE)
        return ArchiveRef(
            session_id=facts.session_id,
            workspace_id=facts.workspace_id,
            token=facts.token,
            generation=facts.generation,
            key=key,
            size_bytes=len(body),
            stored_at=utc_now(),
        )

    def newest_first(self, workspace_id: str, session_id: str) -> tuple[ArchiveRef, ...]:
        """Return all archives of a session; objects with other names are passed over."""
        found = []
        for item in self._store.list(prefix_of(workspace_id, session_id)):
            name = parse_key(item.key)
            if name is not None:
                found.append(
                    ArchiveRef(
                        session_id=name.session_id,
                        workspace_id=name.workspace_id,
                        token=name.token,
                        generation=name.generation,
                        key=item.key,
                        size_bytes=item.size_bytes,
                        stored_at=item.stored_at,
                    )
                )
        return tuple(sorted(found, key=lambda ref: ref.order, reverse=True))

    def fetch(self, ref: ArchiveRef) -> bytes:
        """Return an archive's bytes, of the size that the listing gave.

        Raises:
            ArchiveDamagedError: they are not what was stored; use an older archive.
        """
        body = self._store.get(ref.key, max_bytes=MAX_ARCHIVE_BYTES)
        if len(body) != ref.size_bytes:
            raise ArchiveDamagedError("archive has another size than listed", key=ref.key, size_bytes=len(body))
        return body

    def delete(self, ref: ArchiveRef) -> None:
        """Remove one archive."""
        self._store.delete(ref.key)
