"""Sending, with a plain answer to "did it go out?" in every case, and what belongs to messages of a session."""

import asyncio
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, File, Form, Header, Path, Request, Response, Security, UploadFile
from pydantic import TypeAdapter, ValidationError

from daemon.api.access import DirectoryOf
from daemon.api.auth import documented_bearer
from daemon.api.fields import (
    KEY_PATTERN,
    Chat,
    MessageId,
    MessageIdInPath,
    SessionIdInPath,
    TextId,
    chat_id,
)
from daemon.api.openapi import problems, problems_with_body
from daemon.api.ports import SessionDirectory
from daemon.api.problems import SEND_PATH
from daemon.api.sending import (
    MIMETYPE_PATTERN,
    Caption,
    FileName,
    MimeType,
    NumberBody,
    Prepared,
    SendMessage,
    SendOutcome,
    SentBody,
    check_names_session,
    prepared,
    prepared_file,
    too_large_media,
)
from daemon.api.sessions import SESSIONS_PATH
from daemon.core.errors import (
    ActionFailedError,
    IdempotencyKeyReusedError,
    InvalidInputError,
    MediaNotFoundError,
    MediaTooLargeError,
    MessageNotFoundError,
    OutcomeUnknownError,
    RecipientUnknownError,
    SendInProgressError,
    SendNotFoundError,
    SendQueueFullError,
    SessionNotConnectedError,
    SessionNotFoundError,
    ShardUnavailableError,
)
from daemon.core.ids import PHONE_PATTERN, session_id_for
from daemon.sessions.outgoing import MediaKind
from daemon.sessions.record import SessionRecord

router = APIRouter(tags=["messages"], dependencies=[Security(documented_bearer)])

_ASKS = (
    SessionNotFoundError,
    SessionNotConnectedError,
    ShardUnavailableError,
    OutcomeUnknownError,
    ActionFailedError,
)
_SENDS = problems_with_body(
    *_ASKS,
    SendInProgressError,
    IdempotencyKeyReusedError,
    RecipientUnknownError,
    MessageNotFoundError,
    SendQueueFullError,
)

Key = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        pattern=KEY_PATTERN,
        description="Names one message: the same key never sends twice, also after an unknown outcome.",
        examples=["5f0b7d2e-0c1c-4f43-8b2f-6f3d2a9c1e55"],
    ),
]
KeyInPath = Annotated[str, Path(pattern=KEY_PATTERN, examples=["5f0b7d2e-0c1c-4f43-8b2f-6f3d2a9c1e55"])]
_UNKNOWN_TYPE = "application/octet-stream"
_PARTS = ("session_id", "workspace_id", "user_id", "to", "file", "caption", "kind", "reply_to")
_MIMETYPE: TypeAdapter[str] = TypeAdapter(MimeType)
_FILENAME: TypeAdapter[str] = TypeAdapter(FileName)


@router.post(SEND_PATH, responses=_SENDS)
async def send_message(body: SendMessage, directory: DirectoryOf, request: Request, key: Key = None) -> SentBody:
    """Send a message and wait until WhatsApp took it."""
    limit_bytes = int(request.app.state.max_media_bytes)
    if body.media is None:
        ready = prepared(body, limit_bytes)
    else:
        ready = await asyncio.to_thread(prepared, body, limit_bytes)
    meant = Meant.of(body.session_id, body.workspace_id, body.user_id)
    return await _send(directory, meant, body.to, ready, body.reply_to, key)


@router.post(f"{SEND_PATH}/file", responses=_SENDS)
async def send_file(
    directory: DirectoryOf,
    request: Request,
    file: Annotated[UploadFile, File(description="The file, with its name and content type.")],
    to: Annotated[Chat, Form(description="Phone number or chat id.", examples=["+5511999990000"])],
    session_id: Annotated[TextId | None, Form(examples=["session-12-7"])] = None,
    workspace_id: Annotated[TextId | None, Form(description="With `user_id`, instead of `session_id`.")] = None,
    user_id: Annotated[TextId | None, Form()] = None,
    caption: Annotated[Caption, Form()] = "",
    kind: Annotated[MediaKind | None, Form(description="How WhatsApp shows it; default by content type.")] = None,
    reply_to: Annotated[MessageId | None, Form(description="Id of the message to quote.")] = None,
    key: Key = None,
) -> SentBody:
    """Send a file as `multipart/form-data`."""
    limit_bytes = int(request.app.state.max_media_bytes)
    if (file.size or 0) > limit_bytes:
        raise too_large_media(limit_bytes)
    try:
        check_names_session(session_id, workspace_id, user_id)
    except ValueError as error:
        raise InvalidInputError(str(error), field="session_id") from None
    await _check_parts(request)
    ready = prepared_file(
        await file.read(),
        mimetype=_checked(_MIMETYPE, (file.content_type or _UNKNOWN_TYPE).lower(), "content type"),
        filename=_checked(_FILENAME, file.filename, "file name") if file.filename else None,
        caption=caption,
        kind=kind,
        max_media_bytes=limit_bytes,
    )
    meant = Meant.of(session_id, workspace_id, user_id)
    return await _send(directory, meant, to, ready, reply_to, key)


@router.get(
    f"{SESSIONS_PATH}/{{session_id}}/sends/{{key:path}}",
    responses=problems(SessionNotFoundError, SendNotFoundError, InvalidInputError),
)
async def get_send(session_id: SessionIdInPath, key: KeyInPath, directory: DirectoryOf) -> SendOutcome:
    """Say what became of the message that was sent under an Idempotency-Key."""
    facts = await directory.send_outcome(session_id, key)
    return SendOutcome(
        session_id=session_id,
        outcome=facts.state,
        message_id=facts.sent_id or facts.message_id,
        ack=facts.ack,
        timestamp=_instant(facts.timestamp),
        code=facts.code,
    )


@router.get(
    f"{SESSIONS_PATH}/{{session_id}}/contacts/{{phone}}",
    responses=problems(*_ASKS, InvalidInputError),
)
async def find_number(
    session_id: SessionIdInPath,
    phone: Annotated[str, Path(pattern=PHONE_PATTERN, examples=["5511999990000"])],
    directory: DirectoryOf,
) -> NumberBody:
    """Say whether WhatsApp has an account for a phone number."""
    chat = await directory.find_number(session_id, phone)
    return NumberBody(phone=phone.removeprefix("+"), exists=chat is not None, chat_id=chat)


@router.get(
    f"{SESSIONS_PATH}/{{session_id}}/messages/{{message_id}}/media",
    response_class=Response,
    responses=problems(*_ASKS, InvalidInputError, MessageNotFoundError, MediaNotFoundError, MediaTooLargeError)
    | {200: {"description": "The file.", "content": {"*/*": {"schema": {"type": "string", "format": "binary"}}}}},
)
async def get_media(session_id: SessionIdInPath, message_id: MessageIdInPath, directory: DirectoryOf) -> Response:
    """Fetch the file of a message from WhatsApp."""
    media = await directory.media(session_id, message_id)
    # Name and type are the sender's words.
    name = f"; filename*=UTF-8''{quote(media.filename, safe='', errors='replace')}" if media.filename else ""
    return Response(
        media.content,
        media_type=media.mimetype if re.fullmatch(MIMETYPE_PATTERN, media.mimetype, re.ASCII | re.I) else _UNKNOWN_TYPE,
        headers={
            "Content-Disposition": f"attachment{name}",
            "Cache-Control": "private, no-store",
            "X-Content-Type-Options": "nosniff",
        },
    )


@dataclass(frozen=True, kw_only=True)
class Meant:
    """The session that a request names: by its id, or by its owner (workspace, user)."""

    session_id: str
    owner: tuple[str, str] | None = None

    @classmethod
    def of(cls, session_id: str | None, workspace_id: str | None, user_id: str | None) -> "Meant":
        """Return what is named in one of the two ways."""
        if session_id is not None:
            return cls(session_id=session_id)
        owner = (str(workspace_id), str(user_id))
        return cls(session_id=session_id_for(owner[1], owner[0]), owner=owner)

    def is_this(self, record: SessionRecord) -> bool:
        """Whether it is this session; `session-1-2-3` can be user 1 of workspace 2-3, or user 1-2 of workspace 3."""
        return self.owner is None or self.owner == (record.workspace_id, record.user_id)


async def _send(
    directory: SessionDirectory, meant: Meant, to: str, ready: Prepared, reply_to: str | None, key: str | None
) -> SentBody:
    try:
        sent = await directory.send(
            meant.session_id,
            to=chat_id(to),
            content=ready.content,
            reply_to=reply_to,
            body=ready.body,
            key=key,
            seen=meant.is_this,
        )
    except SessionNotFoundError as error:
        if meant.owner is not None:
            error.hint = "a session with an id of its own is addressed by session_id"
        raise
    return SentBody(
        message_id=sent.message_id,
        session_id=meant.session_id,
        outcome="sent",
        ack=sent.ack,
        timestamp=_instant(sent.timestamp),
        replayed=sent.replayed,
    )


async def _check_parts(request: Request) -> None:
    """Refuse parts that are not known or come twice: what they hold would silently not be sent."""
    given = [name for name, _ in (await request.form()).multi_items()]
    wrong = sorted({name for name in given if name not in _PARTS or given.count(name) > 1})
    if wrong:
        raise InvalidInputError(
            "the form has a part that is not known, or one twice", hint=f"parts are {', '.join(_PARTS)}", field="body"
        )


def _checked(kind: TypeAdapter[str], value: str, what: str) -> str:
    try:
        return kind.validate_python(value)
    except ValidationError:
        raise InvalidInputError(f"the {what} of the file is not accepted", field="file") from None


def _instant(seconds: int | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
