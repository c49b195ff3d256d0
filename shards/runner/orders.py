"""Carrying out a command on an open page, with an outcome that is always one of done, not done, unknown."""

from collections.abc import Mapping
from typing import Any

from daemon.core.errors import BlazzError, BrowserError, SessionNotConnectedError
from daemon.sessions.commands import Command, CommandKind, Outcome, Reply
from daemon.sessions.events import EventKind
from daemon.sessions.states import LOGGED_IN, NEEDS_SCAN, SessionState
from shards.backup.keeper import BackupKeeper
from shards.publisher import Publisher
from shards.runner.engine import Page
from shards.runner.notes import SessionNotes

_STATES = {
    CommandKind.SEND_TEXT: frozenset({SessionState.CONNECTED}),
    CommandKind.PAIRING_CODE: NEEDS_SCAN,
    CommandKind.LOGOUT: LOGGED_IN,
    CommandKind.BACKUP: LOGGED_IN,
}


class Orders:
    """Commands for one open page."""

    def __init__(self, page: Page, notes: SessionNotes, publisher: Publisher, backups: BackupKeeper) -> None:
        self._page = page
        self._notes = notes
        self._publisher = publisher
        self._backups = backups

    async def carry_out(self, command: Command) -> Reply:
        """Do it and say how it went; never raises for what the page or a store did wrong."""
        status = self._notes.record.status
        if status not in _STATES[command.kind]:
            return not_done(SessionNotConnectedError.code, f"the session is {status}")
        try:
            return Reply(outcome=Outcome.DONE, result=await self._do(command))
        except BrowserError as error:
            outcome = Outcome.NOT_DONE if error.ids.get("outcome") == "not_sent" else Outcome.UNKNOWN
            return Reply(outcome=outcome, code=error.code, message=error.message)
        except BlazzError as error:
            return not_done(error.code, error.message)

    async def _do(self, command: Command) -> Mapping[str, Any]:
        match command.kind:
            case CommandKind.SEND_TEXT:
                return await self._send_text(command.arguments)
            case CommandKind.PAIRING_CODE:
                return await self._pairing_code(command.arguments["phone"])
            case CommandKind.BACKUP:
                await self._backups.now()
                return {}
            case _:
                await self._page.logout()
                return {}

    async def _send_text(self, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        # The id is chosen before anything leaves, so that the message can be recognised whatever happens then.
        await self._notes.touch()
        message_id = await self._page.new_message_id()
        sent = await self._page.send_text(arguments["to"], arguments["text"], message_id=message_id)
        return {"message_id": sent.message_id, "ack": sent.ack, "timestamp": sent.timestamp}

    async def _pairing_code(self, phone: str) -> Mapping[str, Any]:
        code = await self._page.pairing_code(phone)
        await self._notes.show_pairing_code(code, phone)
        await self._notes.move(SessionState.PAIRING)
        await self._publisher.tell(EventKind.PAIRING_CODE, {"code": code, "phone": phone})
        return {"code": code}


def not_done(code: str, message: str) -> Reply:
    """Return the reply for a command that certainly has not happened."""
    return Reply(outcome=Outcome.NOT_DONE, code=code, message=message)
