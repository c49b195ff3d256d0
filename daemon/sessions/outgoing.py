"""What can be sent to a chat: the kinds of content, and how they cross Redis inside a command. Pure.

The bytes of a media message do not travel in the command; they lie in Redis for a few minutes under `upload`.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any


class MediaKind(StrEnum):
    """How WhatsApp shows a file."""

    IMAGE = "image"
    VIDEO = "video"
    AUDIO = "audio"
    VOICE = "voice"
    """A recorded voice message (ptt): Ogg with Opus."""
    DOCUMENT = "document"


@dataclass(frozen=True, kw_only=True)
class Text:
    """A text message."""

    text: str = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class Media:
    """A file. `upload` names its bytes in the registry; `sha256` is the hex digest of them."""

    kind: MediaKind
    mimetype: str
    filename: str = field(repr=False)
    caption: str = field(default="", repr=False)
    upload: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True, kw_only=True)
class Location:
    """A place in degrees (WGS 84)."""

    latitude: float = field(repr=False)
    longitude: float = field(repr=False)
    name: str = field(default="", repr=False)
    address: str = field(default="", repr=False)


@dataclass(frozen=True, kw_only=True)
class ContactCard:
    """A contact card; `phone` is digits without `+`."""

    name: str = field(repr=False)
    phone: str = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class Reaction:
    """A reaction to a message of the chat; an empty `emoji` takes it back."""

    message_id: str
    emoji: str = field(repr=False)


Content = Text | Media | Location | ContactCard | Reaction

_KINDS: Mapping[str, type[Content]] = {
    "text": Text,
    "media": Media,
    "location": Location,
    "contact": ContactCard,
    "reaction": Reaction,
}
_NAMES = {kind: name for name, kind in _KINDS.items()}


@dataclass(frozen=True, kw_only=True)
class Outgoing:
    """One message to be sent. `message_id` is chosen before anybody tries: sending it twice sends it once."""

    to: str = field(repr=False)
    """Chat id, as `5511999990000@c.us`."""
    message_id: str
    """As WhatsApp Web makes them: `3EB0` and 18 upper-case hex digits, without chat."""
    content: Content
    reply_to: str | None = None
    """Id of the message that is quoted, as events tell it."""


def outgoing_to_arguments(message: Outgoing) -> dict[str, Any]:
    """Return a message as plain JSON values."""
    return {
        "to": message.to,
        "message_id": message.message_id,
        "reply_to": message.reply_to,
        "kind": _NAMES[type(message.content)],
        "content": asdict(message.content),
    }


def outgoing_from_arguments(raw: Mapping[str, Any]) -> Outgoing:
    """Return the message of a command.

    Raises:
        ValueError, KeyError, TypeError: not what `outgoing_to_arguments` makes.
    """
    content = dict(raw["content"])
    kind = _KINDS[raw["kind"]]
    if kind is Media:
        content["kind"] = MediaKind(content["kind"])
    return Outgoing(to=raw["to"], message_id=raw["message_id"], reply_to=raw["reply_to"], content=kind(**content))
