"""Carrying out a command on an open page, with an outcome that is always one of done, not done, unknown."""

import hashlib
from collections.abc import Mapping
from typing import Any

import structlog

from daemon.core.errors import (
    ActionFailedError,
    BlazzError,
    BrowserError,
    MediaNotFoundError,
    MediaTooLargeError,
    MessageNotFoundError,
    RecipientUnknownError,
    RedisUnavailableError,
    SessionNotConnectedError,
)
from daemon.registry.registry import Registry
from daemon.sessions.commands import Command, CommandKind, Outcome, Reply
from daemon.sessions.events import EventKind
from daemon.sessions.outgoing import Media, outgoing_from_arguments
from daemon.sessions.sends import SendFacts, SendState, Ticket
from daemon.sessions.states import LOGGED_IN, NEEDS_SCAN, SessionState
from shards.backup.keeper import BackupKeeper
from shards.page.calls import SentMessage
from shards.publisher import Publisher
from shards.runner.engine import Page
from shards.runner.notes import SessionNotes

log = structlog.get_logger()

_STATES = {
    CommandKind.SEND: frozenset({SessionState.CONNECTED}),
    CommandKind.FIND_NUMBER: frozenset({SessionState.CONNECTED}),
    CommandKind.GET_MEDIA: frozenset({SessionState.CONNECTED}),
    CommandKind.PAIRING_CODE: NEEDS_SCAN,
    CommandKind.LOGOUT: LOGGED_IN,
    CommandKind.BACKUP: LOGGED_IN,
}


_REASONS = {
    "not_on_whatsapp": RecipientUnknownError.code,
    "message_not_found": MessageNotFoundError.code,
    "no_media": MediaNotFoundError.code,
    "media_gone": MediaNotFoundError.code,
    "media_too_large": MediaTooLargeError.code,
}
"""What the page says, as the API tells it."""
_KEEP_MEDIA_MS = 120_000


class Orders:
    """Commands for one open page."""

    def __init__(
        self,
        page: Page,
        notes: SessionNotes,
        publisher: Publisher,
        backups: BackupKeeper,
        registry: Registry,
        *,
        max_media_bytes: int,
    ) -> None:
        self._page = page
        self._notes = notes
        self._publisher = publisher
        self._backups = backups
        self._registry = registry
        self._max_media_bytes = max_media_bytes

    def refusal(self, command: Command) -> Reply | None:
        """Return the reply to a command that the session's state does not allow now; None when it does."""
        status = self._notes.record.status
        if status not in _STATES[command.kind]:
            return not_done(SessionNotConnectedError.code, f"the session is {status}")
        return None

    async def carry_out(self, command: Command) -> Reply:
        """Do what was not refused and say how it went; never raises for what the page or a store did wrong."""
        try:
            return Reply(outcome=Outcome.DONE, result=await self._do(command))
        except BrowserError as error:
            outcome = Outcome.NOT_DONE if error.ids.get("outcome") == "not_sent" else Outcome.UNKNOWN
            result = {"message_id": error.ids["message_id"]} if "message_id" in error.ids else {}
            code = _REASONS.get(error.ids.get("reason", ""), error.code)
            return Reply(outcome=outcome, result=result, code=code, message=error.message)
        except BlazzError as error:
            return not_done(error.code, error.message)

    async def _do(self, command: Command) -> Mapping[str, Any]:
        match command.kind:
            case CommandKind.SEND:
                return await self._send(command)
            case CommandKind.FIND_NUMBER:
                return {"chat_id": await self._page.find_number(command.arguments["phone"])}
            case CommandKind.GET_MEDIA:
                return await self._get_media(command)
            case CommandKind.PAIRING_CODE:
                return await self._pairing_code(command.arguments["phone"])
            case CommandKind.BACKUP:
                await self._backups.now()
                return {}
            case _:
                await self._page.logout()
                return {}

    async def _send(self, command: Command) -> Mapping[str, Any]:
        # The id was chosen before anything leaves, so that the message can be recognised whatever happens then.
        message = outgoing_from_arguments(command.arguments["message"])
        body = None
        if isinstance(message.content, Media):
            body = await self._uploaded(command.session_id, message.content)
        await self._notes.touch()
        sent = await self._page.send(message, body=body)
        noted = await self._settle(command, sent)
        return {"message_id": sent.message_id, "ack": sent.ack, "timestamp": sent.timestamp, "noted": noted}

    async def _uploaded(self, session_id: str, media: Media) -> bytes:
        body = await self._registry.uploads.get(session_id, media.upload)
        if body is None or hashlib.sha256(body).hexdigest() != media.sha256:
            raise ActionFailedError("the file is no longer in Redis", hint="send it again")
        return body

    async def _settle(self, command: Command, sent: SentMessage) -> bool:
        """Note that a message of a key went out, also for when nobody waits for the answer any more.

        Return whether nothing is left to note.
        """
        if command.arguments.get("ticket") is None:
            return True
        ticket = Ticket.from_arguments(command.arguments["ticket"])
        facts = SendFacts(
            state=SendState.SENT,
            message_id=ticket.message_id,
            sent_id=sent.message_id,
            ack=sent.ack,
            timestamp=sent.timestamp,
        )
        try:
            await self._registry.sends.settle(command.session_id, ticket, facts)
        except RedisUnavailableError as error:
            log.warning("a sent message is not noted under its key", code=error.code, message_id=sent.message_id)
            return False
        return True

    async def _get_media(self, command: Command) -> Mapping[str, Any]:
        message_id = str(command.arguments["message_id"])
        media = await self._page.download_media(message_id, limit_bytes=self._max_media_bytes)
        upload = await self._registry.uploads.put(command.session_id, media.content, keep_ms=_KEEP_MEDIA_MS)
        return {"upload": upload, "mimetype": media.mimetype, "filename": media.filename}

    async def _pairing_code(self, phone: str) -> Mapping[str, Any]:
        code = await self._page.pairing_code(phone)
        await self._notes.show_pairing_code(code, phone)
        await self._notes.move(SessionState.PAIRING)
        await self._publisher.tell(EventKind.PAIRING_CODE, {"code": code, "phone": phone})
        return {"code": code}


def not_done(code: str, message: str, **result: object) -> Reply:
    """Return the reply for a command that certainly has not happened."""
    return Reply(outcome=Outcome.NOT_DONE, result=result, code=code, message=message)
