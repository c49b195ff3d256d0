"""What a request to send may hold, and what of it goes to the directory."""

import base64
import binascii
import hashlib
import mimetypes
from dataclasses import dataclass, field
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from daemon.api.errors import BodyTooLargeError
from daemon.api.fields import Chat, Id, Instant, MessageId, Phone
from daemon.api.schemas import Request, one_way
from daemon.core.errors import InvalidInputError
from daemon.core.ids import phone_digits
from daemon.sessions.outgoing import ContactCard, Content, Location, Media, MediaKind, Reaction, Text
from daemon.sessions.sends import SendState

MAX_MESSAGE_CHARS = 65_536
MAX_CAPTION_CHARS = 4096
_MAX_EMOJI_CHARS = 32

MIMETYPE_PATTERN = r"^[a-z0-9][a-z0-9!#$&^_.+-]{0,63}/[a-z0-9][a-z0-9!#$&^_.+-]{0,126}( ?; ?[a-z0-9=\"._-]+)*$"
MimeType = Annotated[str, StringConstraints(pattern=MIMETYPE_PATTERN)]
FileName = Annotated[str, StringConstraints(pattern=r"^[^/\\\x00-\x1f\x7f]{1,255}$")]
Caption = Annotated[str, StringConstraints(max_length=MAX_CAPTION_CHARS)]


class MediaToSend(Request):
    """A file as base64. Large ones are cheaper as `multipart/form-data` at `/api/whatsapp/send/file`."""

    data: str = Field(min_length=4, repr=False, description="The file, base64.", examples=["SGVsbG8="])
    mimetype: MimeType = Field(examples=["text/plain"])
    filename: FileName | None = Field(None, examples=["hello.txt"])
    caption: Caption = ""
    kind: MediaKind | None = Field(
        None, description="How WhatsApp shows it; default by mimetype. `voice` is a voice message: Ogg with Opus."
    )


class LocationToSend(Request):
    """A place, in degrees."""

    latitude: float = Field(ge=-90, le=90, allow_inf_nan=False, examples=[-23.5505])
    longitude: float = Field(ge=-180, le=180, allow_inf_nan=False, examples=[-46.6333])
    name: str = Field("", max_length=200)
    address: str = Field("", max_length=500)


class ContactToSend(Request):
    """A contact card."""

    name: str = Field(min_length=1, max_length=200, examples=["Maria"])
    phone: Phone = Field(examples=["+5511999990000"])


class ReactionToSend(Request):
    """A reaction to a message of the chat; an empty `emoji` takes it back."""

    message_id: MessageId
    emoji: str = Field(max_length=_MAX_EMOJI_CHARS, examples=["\U0001f44d"])


class SendMessage(Request):
    """One message, from a session named by its id or by workspace and user. Exactly one kind of content."""

    model_config = ConfigDict(
        json_schema_extra={
            "allOf": [
                one_way(["session_id"], ["workspace_id", "user_id"]),
                one_way(["message"], ["media"], ["location"], ["contact"], ["reaction"]),
            ]
        }
    )
    session_id: Id | None = Field(None, examples=["session-12-7"])
    workspace_id: Id | None = Field(None, description="With `user_id`, instead of `session_id`.", examples=[None])
    user_id: Id | None = Field(None, examples=[None])
    to: Chat = Field(description="Phone number or chat id.", examples=["+5511999990000"])
    message: str | None = Field(
        None, min_length=1, max_length=MAX_MESSAGE_CHARS, description="A text.", examples=["Hello"]
    )
    media: MediaToSend | None = Field(None, examples=[None])
    location: LocationToSend | None = Field(None, examples=[None])
    contact: ContactToSend | None = Field(None, examples=[None])
    reaction: ReactionToSend | None = Field(None, examples=[None])
    reply_to: MessageId | None = Field(None, description="Id of the message to quote.", examples=[None])

    @model_validator(mode="after")
    def _names_one_session(self) -> Self:
        check_names_session(self.session_id, self.workspace_id, self.user_id)
        return self

    @model_validator(mode="after")
    def _has_one_content(self) -> Self:
        contents = (self.message, self.media, self.location, self.contact, self.reaction)
        if sum(content is not None for content in contents) != 1:
            raise ValueError("give exactly one of message, media, location, contact, reaction")
        if self.reaction is not None and self.reply_to is not None:
            raise ValueError("a reaction cannot quote: leave reply_to out")
        return self


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """What is to be sent; `body` are the bytes of a file."""

    content: Content
    body: bytes | None = field(default=None, repr=False)


class SentBody(BaseModel):
    """A message that WhatsApp took."""

    message_id: str = Field(examples=["true_5511999990000@c.us_3EB0C431C26A1916E07A"])
    session_id: str = Field(examples=["session-12-7"])
    outcome: str = Field("sent", examples=["sent"])
    ack: int = Field(description="0 pending, 1 server, 2 device, 3 read, 4 played.", examples=[1])
    timestamp: Instant | None
    replayed: bool = Field(
        False, description="It went out under the same Idempotency-Key before; nothing was sent now."
    )


class SendOutcome(BaseModel):
    """What is known of the message of an Idempotency-Key."""

    session_id: str = Field(examples=["session-12-7"])
    outcome: SendState = Field(description="`pending`: a request tries it right now.")
    message_id: str | None = Field(
        description="Whole once it was sent; before, without the chat. Null if Redis may have lost what it knew."
    )
    ack: int | None = Field(description="When it was sent.")
    timestamp: Instant | None
    code: str | None = Field(description="Why the last try failed.", examples=[None])


class NumberBody(BaseModel):
    """Whether WhatsApp has an account for a phone number."""

    phone: str = Field(examples=["5511999990000"])
    exists: bool
    chat_id: str | None = Field(examples=["5511999990000@c.us"])


def check_names_session(session_id: str | None, workspace_id: str | None, user_id: str | None) -> None:
    """Do nothing if a session is named in one of the two ways. Raises ValueError."""
    pair = (workspace_id, user_id)
    by_id = session_id is not None and pair == (None, None)
    by_pair = session_id is None and None not in pair
    if not by_id and not by_pair:
        raise ValueError("give either session_id, or both workspace_id and user_id")


def prepared(request: SendMessage, max_media_bytes: int) -> Prepared:
    """Return what a request asks to send. Takes a while for a large file.

    Raises:
        InvalidInputError: the file is not base64, or of another kind than it is said to be.
        BodyTooLargeError: the file is larger than may be.
    """
    if request.message is not None:
        return Prepared(content=Text(text=request.message))
    if request.location is not None:
        return Prepared(content=Location(**request.location.model_dump()))
    if request.contact is not None:
        return Prepared(content=ContactCard(name=request.contact.name, phone=phone_digits(request.contact.phone)))
    if request.reaction is not None:
        return Prepared(content=Reaction(**request.reaction.model_dump()))
    media = request.media
    if media is None:
        raise InvalidInputError("nothing to send", field="message")
    if len(media.data) * 3 // 4 > max_media_bytes + 2:
        raise too_large_media(max_media_bytes)
    try:
        body = base64.b64decode(media.data, validate=True)
    except (binascii.Error, ValueError):
        raise InvalidInputError("the file is not base64", field="media.data") from None
    return prepared_file(
        body,
        mimetype=media.mimetype,
        filename=media.filename,
        caption=media.caption,
        kind=media.kind,
        max_media_bytes=max_media_bytes,
    )


def prepared_file(
    body: bytes, *, mimetype: str, filename: str | None, caption: str, kind: MediaKind | None, max_media_bytes: int
) -> Prepared:
    """Return a file as it is sent. Raises as `prepared`."""
    if not body:
        raise InvalidInputError("the file is empty", field="file")
    if len(body) > max_media_bytes:
        raise too_large_media(max_media_bytes)
    family = mimetype.partition("/")[0]
    shown = kind or _KIND_OF.get(family, MediaKind.DOCUMENT)
    needed = _FAMILY_OF.get(shown)
    if needed is not None and family != needed:
        raise InvalidInputError(f"kind {shown} needs a mimetype {needed}/...", field="kind")
    media = Media(
        kind=shown,
        mimetype=mimetype,
        filename=filename or f"{shown}{_TYPES.guess_extension(mimetype.partition(';')[0].strip()) or '.bin'}",
        caption=caption,
        upload="",
        size_bytes=len(body),
        sha256=hashlib.sha256(body).hexdigest(),
    )
    return Prepared(content=media, body=body)


_OFFICE = "application/vnd.openxmlformats-officedocument"
_MORE_TYPES = {
    "application/ogg": ".ogg",
    "application/vnd.ms-excel": ".xls",
    "application/vnd.oasis.opendocument.spreadsheet": ".ods",
    "application/vnd.oasis.opendocument.text": ".odt",
    "application/vnd.rar": ".rar",
    "application/x-7z-compressed": ".7z",
    "audio/aac": ".aac",
    "audio/amr": ".amr",
    "audio/mp4": ".m4a",
    "audio/mpeg": ".mp3",
    "audio/ogg": ".ogg",
    "audio/opus": ".opus",
    "image/heic": ".heic",
    "image/webp": ".webp",
    "video/3gpp": ".3gp",
    f"{_OFFICE}.presentationml.presentation": ".pptx",
    f"{_OFFICE}.spreadsheetml.sheet": ".xlsx",
    f"{_OFFICE}.wordprocessingml.document": ".docx",
}
_TYPES = mimetypes.MimeTypes()
"""Without the table of the host: the name is part of what a key stands for, and so the same at every coordinator."""
for _type, _ending in _MORE_TYPES.items():
    _TYPES.add_type(_type, _ending)

_KIND_OF = {"image": MediaKind.IMAGE, "video": MediaKind.VIDEO, "audio": MediaKind.AUDIO}
_FAMILY_OF = {
    MediaKind.IMAGE: "image",
    MediaKind.VIDEO: "video",
    MediaKind.AUDIO: "audio",
    MediaKind.VOICE: "audio",
}


def too_large_media(max_media_bytes: int) -> BodyTooLargeError:
    """Return the error for a file over the limit."""
    return BodyTooLargeError(f"the file is larger than {max_media_bytes} bytes", hint="MAX_MEDIA_BYTES sets the limit")
