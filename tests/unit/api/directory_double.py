"""A directory in memory, good only for what the HTTP side itself decides: routing, validation, problems, forms.

What the real one answers is tested on a real Redis in tests/integration/api.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, NamedTuple

from daemon.core.errors import SessionNotFoundError, ShardNotFoundError
from daemon.core.ids import session_id_for
from daemon.registry.drains import Drain
from daemon.registry.membership import Heartbeat
from daemon.registry.seen import SeenShard
from daemon.sessions.outgoing import Content
from daemon.sessions.record import PairingCode, QrCode, SessionRecord
from daemon.sessions.sends import SendFacts, SendState
from daemon.sessions.states import Desired, SessionState

NOW = datetime(2026, 1, 31, 12, 0, 0, 5000, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True)
class SessionPage:
    """One page."""

    sessions: tuple[SessionRecord, ...]
    next_cursor: str | None


@dataclass(frozen=True, kw_only=True)
class SentMessage:
    """A message that went out."""

    message_id: str
    ack: int
    timestamp: int | None
    replayed: bool = False


class Sending(NamedTuple):
    """What was asked to be sent."""

    session_id: str
    to: str
    content: Content
    reply_to: str | None
    body: bytes | None
    key: str | None


@dataclass(frozen=True, kw_only=True)
class FetchedMedia:
    """A file."""

    content: bytes
    mimetype: str
    filename: str | None


@dataclass(frozen=True, kw_only=True)
class RedisHealth:
    """An answer of Redis."""

    connected: bool
    latency_ms: float | None = None
    error: str | None = None


@dataclass(frozen=True, kw_only=True)
class ObjectStoreHealth:
    """An answer of the object store."""

    bucket: str
    connected: bool
    sample_object: str | None = None
    error: str | None = None


def alive_shard(name: str) -> SeenShard:
    """Return a shard that lives."""
    beat = Heartbeat(
        name=name, host="host-1", pid=1, incarnation="a", started_at=NOW, at=NOW, sessions=3, capacity=200,
        loop_lag_ms=0.1, rss_bytes=1,
    )  # fmt: skip
    return SeenShard(name=name, heartbeat=beat)


@dataclass
class DirectoryDouble:
    """Keeps records; raises what `fails` says for the method of that name; counts calls."""

    records: dict[str, SessionRecord] = field(default_factory=dict)
    looked_at: int = 2000
    """How many sessions one page looks at."""
    fails: dict[str, Exception] = field(default_factory=dict)
    calls: list[tuple[str, Any]] = field(default_factory=list)
    views: tuple[SeenShard, ...] = (alive_shard("shard_00"), alive_shard("shard_01"))
    redis: RedisHealth = field(default_factory=lambda: RedisHealth(connected=True, latency_ms=0.4))
    file: FetchedMedia = field(
        default_factory=lambda: FetchedMedia(content=b"\x89PNG", mimetype="image/png", filename="a b\u00e9.png")
    )
    store: ObjectStoreHealth = field(
        default_factory=lambda: ObjectStoreHealth(bucket="bucket", connected=True, sample_object="workspace_7/x.zip")
    )

    def _call(self, name: str, detail: Any = None) -> None:
        self.calls.append((name, detail))
        if name in self.fails:
            raise self.fails[name]

    def add(self, session_id: str, **fields: Any) -> SessionRecord:
        base: dict[str, Any] = {"workspace_id": "7", "user_id": "12", "created_at": NOW, "status_at": NOW}
        self.records[session_id] = SessionRecord(session_id=session_id, **(base | fields))
        return self.records[session_id]

    async def create(
        self,
        *,
        workspace_id: str,
        user_id: str,
        session_id: str | None = None,
        phone: str | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> tuple[SessionRecord, bool]:
        self._call("create", {"phone": phone})
        session_id = session_id or session_id_for(user_id, workspace_id)
        created = session_id not in self.records
        if created:
            self.add(session_id, workspace_id=workspace_id, user_id=user_id, metadata=dict(metadata or {}))
        return self.records[session_id], created

    async def get(self, session_id: str) -> SessionRecord:
        self._call("get", session_id)
        if session_id not in self.records:
            raise SessionNotFoundError("no such session", session_id=session_id)
        return self.records[session_id]

    async def list(
        self,
        *,
        cursor: str | None = None,
        limit: int = 100,
        status: SessionState | None = None,
        workspace_id: str | None = None,
        shard: str | None = None,
        workspaces: frozenset[str] | None = None,
    ) -> SessionPage:
        self._call("list", (cursor, limit, status, workspace_id, shard))
        behind = sorted(session_id for session_id in self.records if cursor is None or session_id > cursor)
        page = [self.records[session_id] for session_id in behind[: self.looked_at]]
        seen = [record for record in page if workspaces is None or record.workspace_id in workspaces]
        at = seen[limit - 1] if len(seen) >= limit else page[-1] if page else None
        more = at is not None and at.session_id != behind[-1]
        return SessionPage(sessions=tuple(seen[:limit]), next_cursor=at.session_id if at and more else None)

    async def qr(self, session_id: str) -> QrCode:
        self._call("qr", session_id)
        await self.get(session_id)
        return QrCode(text="2@scan+me/now==,abc,def", seen_at=NOW)

    async def pairing_code(self, session_id: str, phone: str) -> PairingCode:
        self._call("pairing_code", phone)
        await self.get(session_id)
        return PairingCode(code="ABCD1234", phone=phone.removeprefix("+"), seen_at=NOW)

    async def _wish(self, name: str, session_id: str, desired: Desired) -> SessionRecord:
        self._call(name, session_id)
        self.records[session_id] = replace(await self.get(session_id), desired=desired)
        return self.records[session_id]

    async def start(self, session_id: str) -> SessionRecord:
        return await self._wish("start", session_id, Desired.RUNNING)

    async def stop(self, session_id: str) -> SessionRecord:
        return await self._wish("stop", session_id, Desired.STOPPED)

    async def restart(self, session_id: str) -> SessionRecord:
        return await self._wish("restart", session_id, Desired.RUNNING)

    async def logout(self, session_id: str) -> SessionRecord:
        return await self._wish("logout", session_id, Desired.RUNNING)

    async def backup(self, session_id: str) -> SessionRecord:
        return await self._wish("backup", session_id, Desired.RUNNING)

    async def delete(self, session_id: str) -> None:
        self._call("delete", session_id)
        await self.get(session_id)
        del self.records[session_id]

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
    ) -> SentMessage:
        if not seen(await self.get(session_id)):
            raise SessionNotFoundError("no such session", session_id=session_id)
        self._call("send", Sending(session_id, to, content, reply_to, body, key))
        return SentMessage(message_id="true_x_1", ack=1, timestamp=1_769_860_800)

    async def send_outcome(self, session_id: str, key: str) -> SendFacts:
        self._call("send_outcome", key)
        await self.get(session_id)
        return SendFacts(state=SendState.SENT, message_id="1", sent_id="true_x_1", ack=2, timestamp=1_769_860_800)

    async def find_number(self, session_id: str, phone: str) -> str | None:
        self._call("find_number", phone)
        await self.get(session_id)
        return None if phone.endswith("0") else f"{phone}@c.us"

    async def media(self, session_id: str, message_id: str) -> FetchedMedia:
        self._call("media", message_id)
        await self.get(session_id)
        return self.file

    async def shards(self) -> tuple[SeenShard, ...]:
        self._call("shards")
        return self.views

    async def shard(self, name: str) -> SeenShard:
        self._call("shard", name)
        return self._one(name)

    async def drain(self, name: str) -> SeenShard:
        self._call("drain", name)
        drained = replace(self._one(name), drain=Drain(since=NOW, total=3))
        self.views = tuple(drained if view.name == name else view for view in self.views)
        return drained

    async def undrain(self, name: str) -> SeenShard:
        self._call("undrain", name)
        shard = replace(self._one(name), drain=None)
        self.views = tuple(shard if view.name == name else view for view in self.views)
        return shard

    def _one(self, name: str) -> SeenShard:
        for view in self.views:
            if view.name == name:
                return view
        raise ShardNotFoundError("no such shard", shard=name)

    async def check_redis(self) -> RedisHealth:
        self._call("check_redis")
        return self.redis

    async def check_object_store(self) -> ObjectStoreHealth:
        self._call("check_object_store")
        return self.store
