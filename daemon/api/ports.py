"""What the API needs of the rest of the house, as protocols: the directory of sessions is given to `build_app`."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from daemon.core.tokens import ApiToken, Scope
from daemon.registry.dead_letters import DeadLetter, LetterFilter, LetterPage
from daemon.registry.event_log import Logged
from daemon.registry.jobs import JobPage
from daemon.registry.seen import SeenShard
from daemon.sessions.jobs import AskedSession, JobSource, RestoreJob
from daemon.sessions.outgoing import Content
from daemon.sessions.record import PairingCode, QrCode, SessionRecord
from daemon.sessions.sends import SendFacts
from daemon.sessions.states import SessionState
from daemon.webhooks.desk import Redriven, SeenEndpoint, TriedOut


class SessionPage(Protocol):
    """One page of a list; `next_cursor` is None on the last."""

    @property
    def sessions(self) -> Sequence[SessionRecord]: ...
    @property
    def next_cursor(self) -> str | None: ...


class SentMessage(Protocol):
    """A message that WhatsApp took; `timestamp` is Unix seconds or None."""

    @property
    def message_id(self) -> str: ...
    @property
    def ack(self) -> int: ...
    @property
    def timestamp(self) -> int | None: ...
    @property
    def replayed(self) -> bool: ...


class FetchedMedia(Protocol):
    """The file of a message."""

    @property
    def content(self) -> bytes: ...
    @property
    def mimetype(self) -> str: ...
    @property
    def filename(self) -> str | None: ...


class RedisHealth(Protocol):
    """What Redis answered."""

    @property
    def connected(self) -> bool: ...
    @property
    def latency_ms(self) -> float | None: ...
    @property
    def error(self) -> str | None: ...


class ObjectStoreHealth(Protocol):
    """What the object store answered."""

    @property
    def bucket(self) -> str: ...
    @property
    def connected(self) -> bool: ...
    @property
    def sample_object(self) -> str | None: ...
    @property
    def error(self) -> str | None: ...


class SessionDirectory(Protocol):
    """What can be asked about and done to sessions; errors are those of `daemon.core.errors`."""

    async def create(
        self,
        *,
        workspace_id: str,
        user_id: str,
        session_id: str | None = None,
        phone: str | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> tuple[SessionRecord, bool]: ...
    async def get(self, session_id: str) -> SessionRecord: ...
    async def list(
        self,
        *,
        cursor: str | None = None,
        limit: int = 100,
        status: SessionState | None = None,
        workspace_id: str | None = None,
        shard: str | None = None,
        workspaces: frozenset[str] | None = None,
    ) -> SessionPage: ...
    async def qr(self, session_id: str) -> QrCode: ...
    async def pairing_code(self, session_id: str, phone: str) -> PairingCode: ...
    async def start(self, session_id: str) -> SessionRecord: ...
    async def stop(self, session_id: str) -> SessionRecord: ...
    async def restart(self, session_id: str) -> SessionRecord: ...
    async def logout(self, session_id: str) -> SessionRecord: ...
    async def backup(self, session_id: str) -> SessionRecord: ...
    async def delete(self, session_id: str) -> None: ...
    async def send(
        self,
        session_id: str,
        *,
        to: str,
        content: Content,
        reply_to: str | None = None,
        body: bytes | None = None,
        key: str | None = None,
        seen: Callable[[SessionRecord], bool] = lambda _record: True,
    ) -> SentMessage: ...
    async def send_outcome(self, session_id: str, key: str) -> SendFacts: ...
    async def find_number(self, session_id: str, phone: str) -> str | None: ...
    async def media(self, session_id: str, message_id: str) -> FetchedMedia: ...
    async def shards(self) -> Sequence[SeenShard]: ...
    async def shard(self, name: str) -> SeenShard: ...
    async def drain(self, name: str) -> SeenShard: ...
    async def undrain(self, name: str) -> SeenShard: ...
    async def check_redis(self) -> RedisHealth: ...
    async def check_object_store(self) -> ObjectStoreHealth: ...


class StoredArchive(Protocol):
    """One archive."""

    @property
    def token(self) -> int: ...
    @property
    def generation(self) -> int: ...
    @property
    def key(self) -> str: ...
    @property
    def size_bytes(self) -> int: ...
    @property
    def backed_up_at(self) -> datetime: ...
    @property
    def clean(self) -> bool | None: ...
    @property
    def chromium(self) -> str | None: ...
    @property
    def key_id(self) -> str | None: ...
    @property
    def legacy(self) -> bool: ...
    @property
    def void(self) -> bool: ...
    @property
    def set_aside(self) -> bool: ...


class ArchivePage(Protocol):
    """One page of archives; `next_cursor` is None on the last."""

    @property
    def archives(self) -> Sequence[StoredArchive]: ...
    @property
    def next_cursor(self) -> str | None: ...


class StoredCopies(Protocol):
    """What is stored of sessions; errors are those of `daemon.core.errors`."""

    async def archives(self, record: SessionRecord, *, cursor: str | None, limit: int) -> ArchivePage: ...
    async def roll_back(self, record: SessionRecord, *, generation: int, token: int | None) -> SessionRecord: ...
    async def restore(self, record: SessionRecord) -> SessionRecord: ...


class Restores(Protocol):
    """Restore jobs; errors are those of `daemon.core.errors`."""

    async def begin(self, source: JobSource, asked: Sequence[AskedSession] = ()) -> RestoreJob: ...
    async def get(self, job_id: str) -> RestoreJob: ...
    async def list(self, *, cursor: str | None, limit: int) -> JobPage: ...


class Tokens(Protocol):
    """API tokens; errors are those of `daemon.core.errors`."""

    async def find(self, text: str) -> ApiToken | None: ...
    async def works(self, token_id: str) -> bool: ...
    async def create(
        self,
        *,
        name: str,
        scopes: frozenset[Scope],
        workspaces: frozenset[str] | None,
        expires_at: datetime | None,
    ) -> tuple[ApiToken, str]: ...
    async def all(self) -> Sequence[ApiToken]: ...
    async def revoke(self, token_id: str) -> None: ...


class Webhooks(Protocol):
    """Webhook endpoints and dead letters; errors are those of `daemon.core.errors`."""

    async def endpoints(self) -> Sequence[SeenEndpoint]: ...
    async def dead(self, wanted: LetterFilter, *, cursor: str | None, limit: int) -> LetterPage: ...
    async def letter(self, letter_id: str) -> DeadLetter: ...
    async def redrive(self, letter_ids: Sequence[str]) -> Redriven: ...
    async def redrive_all(self, wanted: LetterFilter, *, cursor: str | None) -> Redriven: ...
    async def delete(self, letter_id: str) -> None: ...
    async def resume(self, name: str) -> SeenEndpoint: ...
    async def test(self, name: str) -> TriedOut: ...


class Follower(Protocol):
    """One who follows the feed; `gap` says that events behind its place are gone, until it is told."""

    last_id: str
    gap: bool


class EventFeed(Protocol):
    """What happens, for those who follow it; errors are those of `daemon.core.errors`."""

    def follow(self, last_id: str | None, *, token_id: str | None) -> AbstractAsyncContextManager[Any]: ...
    async def next(self, follower: Any) -> Sequence[Logged] | None: ...


@dataclass(frozen=True, kw_only=True)
class Parts:
    """Everything that the app serves."""

    directory: SessionDirectory
    restores: Restores
    copies: StoredCopies
    tokens: Tokens
    webhooks: Webhooks
    feed: EventFeed
