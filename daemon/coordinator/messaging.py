"""Sending messages and what belongs to it, with a plain answer to "did it go out?" in every case.

The message's id is chosen here, before anybody tries. A caller's key gives the same id again, so that trying again
after an unknown outcome is the same message to WhatsApp.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import asdict, dataclass, field, replace
from weakref import WeakValueDictionary

from daemon.coordinator.asking import ask_shard, give, result_of
from daemon.coordinator.idempotency import IdempotencyKeys
from daemon.coordinator.seeing import check_present
from daemon.core.errors import (
    BlazzError,
    MediaNotFoundError,
    RedisUnavailableError,
    SendNotFoundError,
    SendQueueFullError,
    SessionNotConnectedError,
    SessionNotFoundError,
    UnavailableError,
)
from daemon.core.ids import check_id
from daemon.core.places import Places
from daemon.core.sections import SendSettings
from daemon.registry.looks import Look
from daemon.registry.registry import Registry
from daemon.sessions.commands import Command, CommandKind
from daemon.sessions.outgoing import Content, Media, Outgoing, outgoing_to_arguments
from daemon.sessions.record import SessionRecord
from daemon.sessions.sends import (
    SendFacts,
    SendState,
    Ticket,
    fingerprint,
    new_message_id,
)
from daemon.sessions.states import SessionState

_MEDIA_EXTRA_S = 90.0
"""How much longer a file may take than a text."""
_PLACE_WAIT_S = 5.0


@dataclass(frozen=True, kw_only=True)
class SentMessage:
    """A message that WhatsApp took: `ack` 0 pending, 1 server, 2 device, 3 read; `timestamp` Unix seconds or None."""

    message_id: str
    ack: int
    timestamp: int | None
    replayed: bool = False
    """It went out under the same key before; nothing was sent now."""


@dataclass(frozen=True, kw_only=True)
class FetchedMedia:
    """The file of a message."""

    content: bytes = field(repr=False)
    mimetype: str
    filename: str | None


class Messaging:
    """Messages of all sessions. `find` returns the record of a session or raises SessionNotFoundError."""

    def __init__(
        self,
        registry: Registry,
        find: Callable[[str], Awaitable[SessionRecord]],
        settings: SendSettings,
        *,
        timeout_s: float,
    ) -> None:
        self._registry = registry
        self._find = find
        self._timeout_s = timeout_s
        self._keys = IdempotencyKeys(registry)
        self._places = Places(settings.media_parallel, wait_s=_PLACE_WAIT_S)
        self._order: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def send(
        self,
        session_id: str,
        *,
        to: str,
        content: Content,
        reply_to: str | None,
        body: bytes | None,
        key: str | None,
        seen: Callable[[SessionRecord], bool] = lambda _record: True,
    ) -> SentMessage:
        """Send a message; `body` are the bytes of a file. Every error has the `outcome` in its ids.

        `seen` says whether a session of this id is one that the caller means and may see. It is asked here, because
        a session that is not there, too, may have sent the message under the same key before.

        Raises:
            SessionNotFoundError: there is none of this id that the caller sees.
            SendInProgressError: another request sends it right now.
            IdempotencyKeyReusedError: the key belongs to another message.
            SessionNotConnectedError, ShardUnavailableError, SendQueueFullError: nobody began to send it.
            RecipientUnknownError, MessageNotFoundError, ActionFailedError: WhatsApp Web refused it.
            OutcomeUnknownError: it may have been sent.
        """
        wait_s = self._wait_s(content)
        async with contextlib.AsyncExitStack() as held:
            if body is not None:
                await self._hold_place(session_id, key, held)
            async with self._in_order(session_id):
                asked = fingerprint({"to": to, "reply_to": reply_to, "content": asdict(content) | {"upload": None}})
                look, ticket = await self._begin(session_id, key, asked, seen, wait_s)
                if isinstance(ticket, SendFacts):
                    return _sent_before(ticket)
                message_id = ticket.message_id if ticket else new_message_id()
                message = Outgoing(to=to, message_id=message_id, content=content, reply_to=reply_to)
                try:
                    command = await self._give(look, message, body, ticket, held)
                except BlazzError as error:
                    await self._keys.failed(session_id, message_id, ticket, error)
                    raise
            try:
                result = await result_of(self._registry, look.record, command, timeout_s=wait_s)
            except BlazzError as error:
                await self._keys.failed(session_id, message_id, ticket, error)
                raise
        sent = SentMessage(message_id=result["message_id"], ack=result["ack"], timestamp=result["timestamp"])
        if not result.get("noted"):
            # The shard could not write it under the key.
            await self._keys.settle(session_id, ticket, _facts_of(sent, message))
        return sent

    async def _hold_place(self, session_id: str, key: str | None, held: contextlib.AsyncExitStack) -> None:
        try:
            await held.enter_async_context(self._places.hold(session_id))
        except TimeoutError:
            full = SendQueueFullError("as many files are under way as may", session_id=session_id)
            full.retry_after_s = _PLACE_WAIT_S
            await self._keys.refused(session_id, key, full)
            raise full from None

    async def _begin(
        self, session_id: str, key: str | None, asked: str, seen: Callable[[SessionRecord], bool], wait_s: float
    ) -> tuple[Look, Ticket | SendFacts | None]:
        """Return the session, and what its key says."""
        try:
            look = await self._registry.looks.look(check_id(session_id, "session_id"), keyed=key is not None)
            check_present(look.record)
            if not seen(look.record):
                # Certain, whatever the key: it is not the caller's to know how others use it.
                raise SessionNotFoundError("no such session", session_id=session_id, outcome=SendState.NOT_SENT)
            if key is None:
                return look, None
            return look, await self._keys.begin(session_id, key, asked, wait_s=wait_s, epoch=look.epoch)
        except BlazzError as error:
            await self._keys.refused(session_id, key, error)
            raise

    @contextlib.asynccontextmanager
    async def _in_order(self, session_id: str) -> AsyncIterator[None]:
        """Let the messages of one session into the stream in the order in which they were asked for here."""
        lock = self._order.get(session_id) or asyncio.Lock()
        self._order[session_id] = lock
        async with lock:
            yield

    async def _give(
        self,
        look: Look,
        message: Outgoing,
        body: bytes | None,
        ticket: Ticket | None,
        held: contextlib.AsyncExitStack,
    ) -> Command:
        """Give the message to the session's shard; `held` ends what is needed until the answer is there."""
        record = look.record
        _need_connected(record, "the session is not connected")
        if isinstance(message.content, Media) and body is not None:
            upload = await held.enter_async_context(
                self._uploaded(record.session_id, body, self._wait_s(message.content))
            )
            message = replace(message, content=replace(message.content, upload=upload))
        arguments = {
            "message": outgoing_to_arguments(message),
            "ticket": ticket.to_arguments() if ticket else None,
        }
        return await give(self._registry, record, CommandKind.SEND, arguments, shard_lives=look.shard_lives)

    @contextlib.asynccontextmanager
    async def _uploaded(self, session_id: str, body: bytes, wait_s: float) -> AsyncIterator[str]:
        upload = await self._registry.uploads.put(session_id, body, keep_ms=round(wait_s * 1000))
        try:
            yield upload
        finally:
            with contextlib.suppress(RedisUnavailableError):  # it runs out by itself
                await self._registry.uploads.drop(session_id, upload)

    def _wait_s(self, content: Content) -> float:
        return self._timeout_s + (_MEDIA_EXTRA_S if isinstance(content, Media) else 0.0)

    async def outcome(self, session_id: str, key: str) -> SendFacts:
        """Return what is known of a key.

        Raises:
            SendNotFoundError: nothing is remembered: never asked for, or too long ago.
        """
        await self._find(session_id)
        facts = await self._keys.facts(session_id, key)
        if facts is None:
            raise SendNotFoundError("nothing is known of this key", session_id=session_id)
        return facts

    async def find_number(self, session_id: str, phone: str) -> str | None:
        """Return the chat id of a phone number (digits), None when WhatsApp has no account for it."""
        record = await self._find(session_id)
        _need_connected(record, "only a connected session can ask WhatsApp")
        asked = {"phone": phone}
        found = await ask_shard(self._registry, record, CommandKind.FIND_NUMBER, asked, timeout_s=self._timeout_s)
        return found["chat_id"] if found["chat_id"] is None else str(found["chat_id"])

    async def media(self, session_id: str, message_id: str) -> FetchedMedia:
        """Return the file of a message that the session's page knows.

        Raises:
            MessageNotFoundError, MediaNotFoundError, MediaTooLargeError: the page says so.
        """
        record = await self._find(session_id)
        _need_connected(record, "only a connected session can fetch media")
        async with contextlib.AsyncExitStack() as held:
            try:
                await held.enter_async_context(self._places.hold(session_id))
            except TimeoutError:
                raise UnavailableError("as many files are under way as may", session_id=session_id) from None
            wait_s = self._timeout_s + _MEDIA_EXTRA_S
            asked = {"message_id": message_id}
            found = await ask_shard(self._registry, record, CommandKind.GET_MEDIA, asked, timeout_s=wait_s)
            content = await self._registry.uploads.get(session_id, found["upload"])
            if content is None:
                raise UnavailableError("Redis dropped the file before it was read", session_id=session_id)
            with contextlib.suppress(RedisUnavailableError):
                await self._registry.uploads.drop(session_id, found["upload"])
        if not content:
            raise MediaNotFoundError("the file is empty", session_id=session_id)
        return FetchedMedia(content=content, mimetype=found["mimetype"], filename=found["filename"])


def _sent_before(facts: SendFacts) -> SentMessage:
    return SentMessage(
        message_id=facts.sent_id or str(facts.message_id),
        ack=facts.ack or 0,
        timestamp=facts.timestamp,
        replayed=True,
    )


def _facts_of(sent: SentMessage, message: Outgoing) -> SendFacts:
    return SendFacts(
        state=SendState.SENT,
        message_id=message.message_id,
        sent_id=sent.message_id,
        ack=sent.ack,
        timestamp=sent.timestamp,
    )


def _need_connected(record: SessionRecord, complaint: str) -> None:
    if record.status is not SessionState.CONNECTED:
        raise SessionNotConnectedError(
            complaint,
            session_id=record.session_id,
            state=record.status,
            reason=record.reason,
            outcome=SendState.NOT_SENT,
        )
