"""`POST /api/whatsapp/send`: one text message, with a plain answer to "did it go out?" in every case."""

from datetime import UTC, datetime

from fastapi import APIRouter, Security

from daemon.api.access import DirectoryOf
from daemon.api.auth import documented_bearer
from daemon.api.fields import chat_id
from daemon.api.openapi import problems_with_body
from daemon.api.ports import SessionDirectory
from daemon.api.problems import SEND_PATH
from daemon.api.schemas import SendText, SentBody
from daemon.core.errors import (
    ActionFailedError,
    BlazzError,
    OutcomeUnknownError,
    SessionNotConnectedError,
    SessionNotFoundError,
    ShardUnavailableError,
)
from daemon.core.ids import session_id_for

router = APIRouter(tags=["messages"], dependencies=[Security(documented_bearer)])


@router.post(
    SEND_PATH,
    responses=problems_with_body(
        SessionNotFoundError, SessionNotConnectedError, ShardUnavailableError, OutcomeUnknownError, ActionFailedError
    ),
)
async def send_message(body: SendText, directory: DirectoryOf) -> SentBody:
    """Send a text message and wait until WhatsApp took it."""
    session_id = await _session_of(body, directory)
    sent = await directory.send_text(session_id, to=chat_id(body.to), text=body.message)
    return SentBody(
        message_id=sent.message_id,
        session_id=session_id,
        outcome="sent",
        ack=sent.ack,
        timestamp=None if sent.timestamp is None else datetime.fromtimestamp(sent.timestamp, UTC),
    )


async def _session_of(body: SendText, directory: SessionDirectory) -> str:
    """Return the id of the session that is meant; an error here is before any sending.

    The owner is compared, because `session-1-2-3` can be user 1 of workspace 2-3 or user 1-2 of workspace 3.
    """
    if body.session_id is not None:
        return body.session_id
    workspace_id, user_id = str(body.workspace_id), str(body.user_id)
    try:
        record = await directory.get(session_id_for(user_id, workspace_id))
    except BlazzError as error:
        error.ids.setdefault("outcome", "not_sent")
        raise
    if (record.workspace_id, record.user_id) != (workspace_id, user_id):
        raise SessionNotFoundError(
            "no session of this workspace and user", hint="a session with an id of its own is addressed by session_id"
        )
    return record.session_id
