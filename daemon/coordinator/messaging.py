"""Sending messages and what belongs to it, with a plain answer to "did it go out?" in every case.

The message's id is chosen here, before anybody tries. A caller's key gives the same id again, so that trying again
after an unknown outcome is the same message to WhatsApp.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import asdict, dataclass, field, replace
from weakref import WeakValueDictionary

import structlog

from daemon.coordinator.asking import ask_shard, give, result_of
from daemon.core.errors import (
    BlazzError,
    IdempotencyKeyReusedError,
    MediaNotFoundError,
    RedisUnavailableError,
    SendInProgressError,
    SendNotFoundError,
    SendQueueFullError,
    SessionNotConnectedError,
    SessionNotFoundError,
    UnavailableError,
)
from daemon.core.sections import SendSettings
from daemon.registry.registry import Registry
from daemon.registry.sends import Begun
from daemon.sessions.commands import Command, CommandKind
from daemon.sessions.outgoing import Content, Media, Outgoing, outgoing_to_arguments
from daemon.sessions.record import SessionRecord
from daemon.sessions.sends import (
    SendFacts,
    SendState,
    Ticket,
    fingerprint,
    key_digest,
    message_id_of,
    new_message_id,
)
from daemon.sessions.states import SessionState

log = structlog.get_logger()

_MEDIA_EXTRA_S = 90.0
"""How much longer a file may take than a text."""
_HOLD_MARGIN_S = 5.0
_SLOT_WAIT_S = 5.0
_SAME_KEY = "it may have gone out: ask again with the same Idempotency-Key, which cannot double it"


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
        self._media_slots = asyncio.Semaphore(settings.media_parallel)
        self._media_each = max(1, settings.media_parallel // 2)
        self._media_of: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()
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
                try:
                    await held.enter_async_context(self._media_slot(session_id))
                except SendQueueFullError as error:
                    error.ids["outcome"] = await self._known_before(session_id, key, error)
                    raise
            async with self._in_order(session_id):
                try:
                    record = await self._find(session_id)
                    if not seen(record):
                        raise SessionNotFoundError("no such session", session_id=session_id)
                    asked = fingerprint({"to": to, "reply_to": reply_to, "content": asdict(content) | {"upload": None}})
                    ticket = await self._ticket(session_id, key, asked, wait_s) if key is not None else None
                except BlazzError as error:
                    error.ids.setdefault("outcome", await self._known_before(session_id, key, error))
                    raise
                if isinstance(ticket, SentMessage):
                    return ticket
                message_id = ticket.message_id if ticket else new_message_id()
                message = Outgoing(to=to, message_id=message_id, content=content, reply_to=reply_to)
                try:
                    command = await self._give(record, message, body, ticket, held)
                except BlazzError as error:
                    await self._failed(session_id, message, ticket, error)
                    raise
            try:
                result = await result_of(self._registry, record, command, timeout_s=wait_s)
            except BlazzError as error:
                await self._failed(session_id, message, ticket, error)
                raise
        sent = SentMessage(message_id=result["message_id"], ack=result["ack"], timestamp=result["timestamp"])
        if ticket is not None:
            # The shard wrote this, too, unless Redis did not take it then.
            await self._settle(session_id, ticket, _facts_of(sent, message))
        return sent

    async def _known_before(self, session_id: str, key: str | None, error: BlazzError) -> SendState:
        """Return what is certain of a message that was not tried now, but may have been under the same key before."""
        if key is None or isinstance(error, IdempotencyKeyReusedError):
            return SendState.NOT_SENT
        try:
            facts = await self._facts(session_id, key)
        except RedisUnavailableError:
            return SendState.UNKNOWN
        return SendState.NOT_SENT if facts is None or facts.state is SendState.NOT_SENT else SendState.UNKNOWN

    async def _facts(self, session_id: str, key: str) -> SendFacts | None:
        """Return what is known of a key; None only if it was certainly not used while keys are remembered.

        Raises:
            RedisUnavailableError: nothing is known.
        """
        facts = await self._registry.sends.get(session_id, key_digest(key))
        if facts is None and self._registry.sends.forgets(await self._registry.epochs.read()):
            return SendFacts(state=SendState.UNKNOWN, message_id=None)
        return facts

    @contextlib.asynccontextmanager
    async def _in_order(self, session_id: str) -> AsyncIterator[None]:
        """Let the messages of one session into the stream in the order in which they were asked for here."""
        lock = self._order.get(session_id) or asyncio.Lock()
        self._order[session_id] = lock
        async with lock:
            yield

    async def _ticket(self, session_id: str, key: str, asked: str, wait_s: float) -> Ticket | SentMessage | None:
        """Return the right to try; or, when it went out before, the message."""
        digest = key_digest(key)
        begun = await self._registry.sends.begin(
            session_id,
            digest,
            asked,
            message_id_of(session_id, digest, asked),
            hold_ms=round((wait_s + _HOLD_MARGIN_S) * 1000),
            doubtful=self._registry.sends.forgets(await self._registry.epochs.read()),
        )
        match begun.said:
            case Begun.OTHER:
                raise IdempotencyKeyReusedError(
                    "this Idempotency-Key was used for another message", hint="use a new key for each message"
                )
            case Begun.BUSY:
                busy = SendInProgressError(
                    "another request with this Idempotency-Key sends the message right now",
                    hint=_SAME_KEY,
                    session_id=session_id,
                    outcome=SendState.UNKNOWN,
                )
                busy.retry_after_s = max(1.0, min(begun.wait_ms / 1000, 5.0))
                raise busy
        facts = begun.facts
        if facts is None:
            return begun.ticket
        return SentMessage(
            message_id=facts.sent_id or str(facts.message_id),
            ack=facts.ack or 0,
            timestamp=facts.timestamp,
            replayed=True,
        )

    async def _give(
        self,
        record: SessionRecord,
        message: Outgoing,
        body: bytes | None,
        ticket: Ticket | None,
        held: contextlib.AsyncExitStack,
    ) -> Command:
        """Give the message to the session's shard; `held` ends what is needed until the answer is there."""
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
        return await give(self._registry, record, CommandKind.SEND, arguments)

    @contextlib.asynccontextmanager
    async def _uploaded(self, session_id: str, body: bytes, wait_s: float) -> AsyncIterator[str]:
        upload = await self._registry.uploads.put(session_id, body, keep_ms=round(wait_s * 1000))
        try:
            yield upload
        finally:
            with contextlib.suppress(RedisUnavailableError):  # it runs out by itself
                await self._registry.uploads.drop(session_id, upload)

    @contextlib.asynccontextmanager
    async def _media_slot(self, session_id: str) -> AsyncIterator[None]:
        """Hold one of the few places for files, of which one session gets half; nobody waits for long.

        Raises:
            SendQueueFullError: all are taken.
        """
        mine = self._media_of.get(session_id) or asyncio.Semaphore(self._media_each)
        self._media_of[session_id] = mine
        async with contextlib.AsyncExitStack() as held:
            try:
                async with asyncio.timeout(_SLOT_WAIT_S):
                    await held.enter_async_context(mine)
                    await held.enter_async_context(self._media_slots)
            except TimeoutError:
                full = SendQueueFullError("as many files are under way as may", session_id=session_id)
                full.retry_after_s = _SLOT_WAIT_S
                raise full from None
            yield

    def _wait_s(self, content: Content) -> float:
        return self._timeout_s + (_MEDIA_EXTRA_S if isinstance(content, Media) else 0.0)

    async def _failed(self, session_id: str, message: Outgoing, ticket: Ticket | None, error: BlazzError) -> None:
        """Put what is certain into the error, and write it under the key."""
        outcome = SendState(error.ids.get("outcome", SendState.NOT_SENT))
        if ticket is not None and ticket.doubtful and outcome is SendState.NOT_SENT:
            # This try did not send it; an earlier one may have.
            outcome = SendState.UNKNOWN
        error.ids["outcome"] = outcome
        if outcome is SendState.UNKNOWN:
            error.ids.setdefault("message_id", message.message_id)
            if ticket is not None:
                error.hint = _SAME_KEY
        if ticket is None:
            return
        facts = SendFacts(state=outcome, message_id=message.message_id, code=error.code)
        await self._settle(session_id, ticket, facts)

    async def _settle(self, session_id: str, ticket: Ticket, facts: SendFacts) -> None:
        try:
            await self._registry.sends.settle(session_id, ticket, facts)
        except RedisUnavailableError:
            log.warning("the outcome of a send is not noted under its key", session_id=session_id, outcome=facts.state)

    async def outcome(self, session_id: str, key: str) -> SendFacts:
        """Return what is known of a key.

        Raises:
            SendNotFoundError: nothing is remembered: never asked for, or too long ago.
        """
        await self._find(session_id)
        facts = await self._facts(session_id, key)
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
                await held.enter_async_context(self._media_slot(session_id))
            except SendQueueFullError as error:
                raise UnavailableError(error.message, session_id=session_id) from None
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
