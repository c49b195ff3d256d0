"""The directory of sessions: what the API can ask for, as one class over registry, placement and commands.

Every action writes what is wanted and returns; shards and the reconcile loop make it so. Only what must happen once
and be answered (send, pairing code, logout, backup) goes to the shard as a command.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from daemon.coordinator.asking import ask_shard
from daemon.coordinator.drains import begin_drain, end_drain, find_shard
from daemon.coordinator.health import Health, RedisHealth
from daemon.coordinator.messaging import FetchedMedia, Messaging, SentMessage
from daemon.coordinator.placer import Placer
from daemon.coordinator.seeing import check_present, lives, see_shards
from daemon.core.clock import utc_now
from daemon.core.errors import (
    CodeNotAvailableError,
    SessionNotConnectedError,
    SessionNotFoundError,
    SessionTakenError,
)
from daemon.core.ids import check_id, phone_digits, session_id_for
from daemon.core.sections import SendSettings
from daemon.objectstore.check import StoreHealth
from daemon.registry.registry import Registry
from daemon.registry.seen import SeenShard
from daemon.sessions.commands import CommandKind
from daemon.sessions.outgoing import Content
from daemon.sessions.record import PairingCode, QrCode, SessionRecord
from daemon.sessions.sends import SendFacts
from daemon.sessions.states import AT_REST, LOGGED_IN, NEEDS_SCAN, WAITS_FOR_START, Desired, SessionState
from daemon.sessions.summary import Summary

LOOKED_AT = 2000
"""Most sessions that one request of a list looks at."""
_LIST_PAGE = 500
_SHORTLY = "try again shortly"


@dataclass(frozen=True, kw_only=True)
class SessionPage:
    """One page of sessions in the order of their ids; `next_cursor` is None on the last."""

    sessions: tuple[SessionRecord, ...]
    next_cursor: str | None


class Directory:
    """What can be asked about and done to sessions."""

    def __init__(
        self, registry: Registry, placer: Placer, health: Health, send: SendSettings, *, command_timeout_s: float
    ) -> None:
        self._registry = registry
        self._placer = placer
        self._health = health
        self._timeout_s = command_timeout_s
        self._messaging = Messaging(registry, self.get, send, timeout_s=command_timeout_s)

    async def create(
        self,
        *,
        workspace_id: str,
        user_id: str,
        session_id: str | None = None,
        phone: str | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> tuple[SessionRecord, bool]:
        """Create a session that should run, or return the one of this id; and whether it was created.

        Raises:
            SessionTakenError: the id belongs to another user or workspace, or is being deleted.
        """
        check_id(workspace_id, "workspace_id")
        check_id(user_id, "user_id")
        session_id = check_id(session_id, "session_id") if session_id else session_id_for(user_id, workspace_id)
        grave = await self._registry.tombstones.get(workspace_id, session_id)
        now = utc_now()
        record = SessionRecord(
            session_id=session_id,
            workspace_id=workspace_id,
            user_id=user_id,
            metadata=dict(metadata or {}),
            created_at=now,
            status_at=now,
            phone=phone_digits(phone) if phone else None,
            void_token=grave.void_token if grave else 0,
        )
        created = await self._registry.records.create(record)
        if created:
            await self._respect_grave(session_id, workspace_id)
        try:
            present = await self._registry.records.get(session_id)
        except SessionNotFoundError:
            raise SessionTakenError("the session was just deleted", hint=_SHORTLY, session_id=session_id) from None
        if (present.workspace_id, present.user_id) != (workspace_id, user_id):
            raise SessionTakenError("this id belongs to another user or workspace", session_id=session_id)
        if present.desired is Desired.DELETED:
            raise SessionTakenError("the session is being deleted", hint=_SHORTLY, session_id=session_id)
        if created:
            present = await self._placer.place_new(present)
        return present, created

    async def _respect_grave(self, session_id: str, workspace_id: str) -> None:
        """Void the copies of an ended login of this id. Read after the record was made and before it is placed.

        A delete writes its tombstone before it removes the record, so whatever record ours followed has one by now.
        """
        grave = await self._registry.tombstones.get(workspace_id, session_id)
        if grave is not None:
            await self._registry.records.write_wish(session_id, {"void_token": grave.void_token})

    async def get(self, session_id: str) -> SessionRecord:
        """Return one session.

        Raises:
            SessionNotFoundError: there is none of this id, or it is being deleted.
        """
        record = await self._registry.records.get(check_id(session_id, "session_id"))
        check_present(record)
        return record

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
        """Return up to `limit` sessions after `cursor` that fit all given filters; `workspaces` may hold several.

        At most LOOKED_AT sessions are looked at, so a page may be short, or empty, and have a cursor all the same.
        """
        fitting, after, looked_at = [], cursor, 0
        while True:
            page, after = await self._registry.records.summary_page(after, _LIST_PAGE)
            looked_at += _LIST_PAGE
            for position, seen in enumerate(page):
                if not _fits(seen, status, workspace_id, shard, workspaces):
                    continue
                fitting.append(seen.session_id)
                if len(fitting) == limit:
                    more = after is not None or position + 1 < len(page)
                    return await self._listed(fitting, seen.session_id if more else None)
            if after is None or looked_at >= LOOKED_AT:
                return await self._listed(fitting, after)

    async def _listed(self, session_ids: Sequence[str], next_cursor: str | None) -> SessionPage:
        records = await self._registry.records.get_many(session_ids)
        return SessionPage(
            sessions=tuple(record for record in records if record.desired is not Desired.DELETED),
            next_cursor=next_cursor,
        )

    async def start(self, session_id: str) -> SessionRecord:
        """Want it running; one that waits for a scan, is in conflict or failed is begun anew. Idempotent."""
        record = await self.get(session_id)
        stuck = record.status in WAITS_FOR_START or record.status is SessionState.FAILED
        if record.desired is Desired.RUNNING and not stuck:
            return record
        return await self._begin(record)

    async def restart(self, session_id: str) -> SessionRecord:
        """Stop it with a final backup and start it again, or start it."""
        return await self._begin(await self.get(session_id))

    async def _begin(self, record: SessionRecord) -> SessionRecord:
        wish: dict[str, object] = {"desired": Desired.RUNNING}
        if record.status is SessionState.DISCONNECTED:
            wish["scan_allowed"] = True
        await self._registry.records.write_wish(record.session_id, wish, new_serial=True)
        if record.status in AT_REST:
            rested = {"status": SessionState.PENDING, "status_at": utc_now(), "reason": None, "retry_at": None}
            await self._registry.records.write_at_rest(record.session_id, rested)
        return await self._placer.place_new(await self._registry.records.get(record.session_id))

    async def stop(self, session_id: str) -> SessionRecord:
        """Want it stopped; the shard takes a final backup first. Idempotent."""
        record = await self.get(session_id)
        await self._registry.records.write_wish(session_id, {"desired": Desired.STOPPED})
        if record.status in AT_REST:
            await self._registry.records.write_at_rest(
                session_id, {"status": SessionState.STOPPED, "status_at": utc_now(), "reason": None, "retry_at": None}
            )
        if await lives(self._registry, record.shard):
            await self._placer.wake(record.shard)
        else:
            await self._placer.hurry(session_id)
        return await self.get(session_id)

    async def delete(self, session_id: str) -> None:
        """Remove the session and its hot copy; its archives are kept for the grace period, then removed."""
        record = await self.get(session_id)
        await self._registry.records.write_wish(session_id, {"desired": Desired.DELETED})
        await self._placer.wake(record.shard)
        await self._placer.hurry(session_id)

    async def qr(self, session_id: str) -> QrCode:
        """Return the QR code on display.

        Raises:
            CodeNotAvailableError: there is none now; `ids` has the state.
        """
        record = await self.get(session_id)
        shown = record.status in NEEDS_SCAN and await lives(self._registry, record.shard)
        code = await self._registry.codes.get(session_id) if shown else None
        if not isinstance(code, QrCode):
            raise CodeNotAvailableError(
                "no QR code is on display", hint=_qr_hint(record), session_id=session_id, state=record.status
            )
        return code

    async def pairing_code(self, session_id: str, phone: str) -> PairingCode:
        """Ask WhatsApp for a pairing code for this phone number."""
        digits = phone_digits(phone)
        record = await self._need(session_id, NEEDS_SCAN, "a pairing code needs a session that waits for a scan")
        result = await self._ask(record, CommandKind.PAIRING_CODE, {"phone": digits})
        return PairingCode(code=str(result["code"]), phone=digits, seen_at=utc_now())

    async def logout(self, session_id: str) -> SessionRecord:
        """Unlink the device at WhatsApp and void its backups; the session then waits for an explicit start.

        Idempotent: one that no phone is linked to is left as it is.
        """
        record = await self.get(session_id)
        if not record.paired and record.status not in LOGGED_IN:
            return record
        record = await self._need(session_id, LOGGED_IN, "only a logged-in session can be logged out")
        await self._ask(record, CommandKind.LOGOUT, {})
        return await self.get(session_id)

    async def backup(self, session_id: str) -> SessionRecord:
        """Take a hot copy and an archive now."""
        record = await self._need(session_id, LOGGED_IN, "only a logged-in session can be backed up")
        await self._ask(record, CommandKind.BACKUP, {})
        return await self.get(session_id)

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
        """Send a message; see `Messaging.send`."""
        return await self._messaging.send(
            session_id, to=to, content=content, reply_to=reply_to, body=body, key=key, seen=seen
        )

    async def send_outcome(self, session_id: str, key: str) -> SendFacts:
        """Return what is known of an idempotency key; see `Messaging.outcome`."""
        return await self._messaging.outcome(session_id, key)

    async def find_number(self, session_id: str, phone: str) -> str | None:
        """Return the chat id of a phone number, None when WhatsApp has no account for it."""
        return await self._messaging.find_number(session_id, phone_digits(phone))

    async def media(self, session_id: str, message_id: str) -> FetchedMedia:
        """Return the file of a message; see `Messaging.media`."""
        return await self._messaging.media(session_id, message_id)

    async def shards(self) -> tuple[SeenShard, ...]:
        """Return every shard ever seen."""
        return await see_shards(self._registry)

    async def shard(self, name: str) -> SeenShard:
        """Return one shard.

        Raises:
            ShardNotFoundError: none of this name has ever been seen.
        """
        return await find_shard(self._registry, name)

    async def drain(self, name: str) -> SeenShard:
        """Have a shard give its sessions to others and take none. Idempotent; lasts until `undrain`."""
        return await begin_drain(self._registry, name)

    async def undrain(self, name: str) -> SeenShard:
        """Have a shard take sessions again. Idempotent."""
        return await end_drain(self._registry, name)

    async def check_redis(self) -> RedisHealth:
        """Ask Redis."""
        return await self._health.redis()

    async def check_object_store(self) -> StoreHealth:
        """Ask the object store."""
        return await self._health.object_store()

    async def _need(self, session_id: str, states: frozenset[SessionState], complaint: str) -> SessionRecord:
        record = await self.get(session_id)
        if record.status not in states:
            raise SessionNotConnectedError(
                complaint, session_id=session_id, state=record.status, reason=record.reason, outcome="not_sent"
            )
        return record

    async def _ask(self, record: SessionRecord, kind: CommandKind, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        return await ask_shard(self._registry, record, kind, arguments, timeout_s=self._timeout_s)


def _fits(
    record: Summary,
    status: SessionState | None,
    workspace_id: str | None,
    shard: str | None,
    workspaces: frozenset[str] | None,
) -> bool:
    return (
        record.desired is not Desired.DELETED
        and (status is None or record.status is status)
        and (workspace_id is None or record.workspace_id == workspace_id)
        and (workspaces is None or record.workspace_id in workspaces)
        and (shard is None or record.shard == shard)
    )


def _qr_hint(record: SessionRecord) -> str:
    if record.status in LOGGED_IN:
        return "the session is logged in and needs no scan"
    if record.status is SessionState.PAIRING:
        return "a pairing code is on display instead"
    if record.status in WAITS_FOR_START or record.desired is Desired.STOPPED:
        return "start the session first"
    return "wait until the session's status is qr"
