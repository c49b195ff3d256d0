"""The archives of sessions: which there are, storing, fetching and removing them. Blocking.

Archives are never changed. The newest of a session is the one with the highest `(token, generation)`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from threading import Event

from daemon.core.clock import iso, utc_now
from daemon.core.errors import ObjectNotFoundError
from daemon.core.tokens import ApiToken, token_from_text, token_to_text
from daemon.objectstore.body import body_of
from daemon.objectstore.facts import ObjectFacts
from daemon.objectstore.keys import ArchiveName, key_of, parse_key, prefix_of
from daemon.objectstore.legacy import legacy_keys
from daemon.objectstore.marks import MAX_MARK_BYTES, Mark, mark_from_bytes, mark_key, mark_to_bytes
from daemon.objectstore.store import ObjectStore
from daemon.objectstore.tokens import BUCKET_ID_KEY, MAX_BUCKET_ID_BYTES, MAX_TOKEN_BYTES, bucket_id_from, token_key

_CONTENT_TYPE = "application/zip"
KEY_ID = "key-id"
"""Metadata: the id of the key that an archive is encrypted with; not there when it is not encrypted."""


@dataclass(frozen=True, kw_only=True)
class ArchiveRef:
    """One stored archive. `stored_at` is the store's time, UTC.

    `legacy`: a zip that a Node service left, older than every archive of ours: token and generation are 0.
    """

    session_id: str
    workspace_id: str
    token: int
    generation: int
    key: str
    size_bytes: int
    stored_at: datetime
    legacy: bool = False

    @property
    def order(self) -> tuple[int, int]:
        """The pair that orders all copies of one session; the highest is the newest."""
        return (self.token, self.generation)


@dataclass(frozen=True, kw_only=True)
class ArchiveFacts:
    """What is written beside an archive's bytes. `sha256` is that of the bytes; `chromium` the version in it.

    `key_id` names the key that it is encrypted with, None when it is not: so that keys can be counted without reading.
    """

    session_id: str
    workspace_id: str
    user_id: str
    token: int
    generation: int
    backed_up_at: datetime
    sha256: str
    clean: bool
    chromium: str
    key_id: str | None = None

    def metadata(self) -> dict[str, str]:
        """Return them as object metadata."""
        return {
            "user-id": self.user_id,
            "workspace-id": self.workspace_id,
            "backed-up-at": iso(self.backed_up_at),
            "sha256": self.sha256,
            "clean": "true" if self.clean else "false",
            "chromium": self.chromium,
            **({KEY_ID: self.key_id} if self.key_id is not None else {}),
        }


def archive_ref(item: ObjectFacts) -> ArchiveRef | None:
    """Return the archive that an object is; None for any other object."""
    name = parse_key(item.key)
    if name is None:
        return None
    return ArchiveRef(
        session_id=name.session_id,
        workspace_id=name.workspace_id,
        token=name.token,
        generation=name.generation,
        key=item.key,
        size_bytes=item.size_bytes,
        stored_at=item.stored_at,
    )


class Catalogue:
    """The archives in one bucket. All errors of `ObjectStore` pass through.

    `limit_s` says how long a number of bytes may be under way. A transfer ends soon once `abandoned` is set.
    """

    def __init__(self, store: ObjectStore, limit_s: Callable[[int], float]) -> None:
        self._store = store
        self._limit_s = limit_s

    def store(self, facts: ArchiveFacts, source: Path, *, md5: str, abandoned: Event | None = None) -> ArchiveRef:
        """Store the file `source` as an archive under its name.

        Raises:
            ObjectExistsError: another archive has this token and generation already.
            UnavailableError: the file cannot be read.
        """
        name = ArchiveName(
            workspace_id=facts.workspace_id,
            session_id=facts.session_id,
            token=facts.token,
            generation=facts.generation,
        )
        key = key_of(name)
        with body_of(source, sha256=facts.sha256, md5=md5, limit_s=self._limit_s, abandoned=abandoned) as body:
            self._store.put_new(key, body, metadata=facts.metadata(), content_type=_CONTENT_TYPE)
        return ArchiveRef(
            session_id=facts.session_id,
            workspace_id=facts.workspace_id,
            token=facts.token,
            generation=facts.generation,
            key=key,
            size_bytes=body.size_bytes,
            stored_at=utc_now(),
        )

    def newest_first(self, workspace_id: str, session_id: str) -> tuple[ArchiveRef, ...]:
        """Return all archives of a session but legacy ones; objects with other names are passed over."""
        refs = (archive_ref(item) for item in self._store.list(prefix_of(workspace_id, session_id)))
        return tuple(sorted((ref for ref in refs if ref is not None), key=lambda ref: ref.order, reverse=True))

    def find_legacy(self, workspace_id: str, session_id: str, prefix: str) -> tuple[ArchiveRef, ...]:
        """Return the zips that a Node service left for a session, the last stored first."""
        found = self._store.heads(legacy_keys(workspace_id, session_id, prefix))
        refs = (
            ArchiveRef(
                session_id=session_id,
                workspace_id=workspace_id,
                token=0,
                generation=0,
                key=item.key,
                size_bytes=item.size_bytes,
                stored_at=item.stored_at,
                legacy=True,
            )
            for item in found
        )
        return tuple(sorted(refs, key=lambda ref: ref.stored_at, reverse=True))

    def fetch(self, ref: ArchiveRef, into: Path, *, abandoned: Event | None = None) -> None:
        """Receive an archive into the new file `into`, of the size that the listing gave.

        Raises:
            ArchiveDamagedError: it is not what was stored; use an older archive.
        """
        self._store.get(ref.key, into, size_bytes=ref.size_bytes, abandoned=abandoned)

    def delete(self, ref: ArchiveRef) -> None:
        """Remove one archive."""
        self._store.delete(ref.key)

    def put_mark(self, workspace_id: str, session_id: str, mark: Mark) -> None:
        """Write a session's mark, whatever it said before; the same call can be made again."""
        content = mark_to_bytes(mark)
        self._store.small.put(mark_key(workspace_id, session_id), content, content_type="application/json")

    def get_mark(self, workspace_id: str, session_id: str) -> Mark | None:
        """Return a session's mark; None is the store's answer that there is none.

        Raises:
            DamagedError: what is there is no mark.
        """
        try:
            content = self._store.small.get(mark_key(workspace_id, session_id), max_bytes=MAX_MARK_BYTES)
        except ObjectNotFoundError:
            return None
        return mark_from_bytes(content)

    def drop_mark(self, workspace_id: str, session_id: str) -> None:
        """Remove a session's mark: it should run; no error when there is none."""
        self._store.delete(mark_key(workspace_id, session_id))

    def put_token(self, token: ApiToken) -> None:
        """Write what is known of an API token; the same call can be made again."""
        content = token_to_text(token).encode()
        self._store.small.put(token_key(token.token_id), content, content_type="application/json")

    def get_token(self, token_id: str) -> ApiToken | None:
        """Return what is known of an API token; None is the store's answer that there is none.

        Raises:
            DamagedError: what is there is no token.
        """
        try:
            content = self._store.small.get(token_key(token_id), max_bytes=MAX_TOKEN_BYTES)
        except ObjectNotFoundError:
            return None
        return token_from_text(content)

    def put_bucket_id(self, bucket_id: str) -> None:
        """Give the bucket an id, whatever it had; the same call can be made again."""
        self._store.small.put(BUCKET_ID_KEY, bucket_id.encode(), content_type="text/plain")

    def get_bucket_id(self) -> str | None:
        """Return the bucket's id; None is the store's answer that it has none.

        Raises:
            DamagedError: what is there is no id.
        """
        try:
            content = self._store.small.get(BUCKET_ID_KEY, max_bytes=MAX_BUCKET_ID_BYTES)
        except ObjectNotFoundError:
            return None
        return bucket_id_from(content)

    def drop_token(self, token_id: str) -> None:
        """Remove an API token; no error when there is none."""
        self._store.delete(token_key(token_id))
