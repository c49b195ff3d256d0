"""The kinds of values that requests carry: ids, phone numbers, chats, times."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import Path
from pydantic import BeforeValidator, Field, PlainSerializer, StringConstraints

from daemon.core.clock import iso
from daemon.core.ids import ID_PATTERN, PHONE_PATTERN, SHARD_PATTERN

CHAT_PATTERN = r"^(\+?[1-9][0-9]{6,14}|[0-9][0-9-]{3,60}@(c\.us|g\.us|lid))$"


def _text_of_number(value: Any) -> Any:
    """Accept 12 for "12", because PHP's ids are integers; `true` is none."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


_NumberToo = BeforeValidator(_text_of_number, json_schema_input_type=Annotated[str, Field(pattern=ID_PATTERN)] | int)

Id = Annotated[str, StringConstraints(pattern=ID_PATTERN), _NumberToo]
"""Letters, digits, `-` and `_`, at most 100; in JSON also a positive integer."""

TextId = Annotated[str, StringConstraints(pattern=ID_PATTERN)]
"""The same in a query or path."""

SessionIdInPath = Annotated[str, Path(pattern=ID_PATTERN, examples=["session-12-7"])]

ShardName = Annotated[str, StringConstraints(pattern=SHARD_PATTERN)]

Phone = Annotated[str, StringConstraints(pattern=PHONE_PATTERN)]
"""E.164: 7 to 15 digits, with or without `+`."""

Chat = Annotated[str, StringConstraints(pattern=CHAT_PATTERN)]
"""A phone number or a chat id (`...@c.us` a person, `...@g.us` a group, `...@lid` a hidden number)."""

MESSAGE_ID_PATTERN = r"^[A-Za-z0-9_.@:-]{8,200}$"

MessageId = Annotated[
    str,
    StringConstraints(pattern=MESSAGE_ID_PATTERN),
    Field(examples=["false_5511999990000@c.us_3A5F0C6D7E8F90A1B2C3"]),
]
"""Id of a message as events and answers tell it."""

MessageIdInPath = Annotated[
    str, Path(pattern=MESSAGE_ID_PATTERN, examples=["false_5511999990000@c.us_3A5F0C6D7E8F90A1B2C3"])
]

KEY_PATTERN = r"^[\x21-\x7e]{1,255}$"

Cursor = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_=.-]{1,200}$")]
"""Where a page ended; opaque."""

Instant = Annotated[datetime, PlainSerializer(iso, return_type=str), Field(examples=["2026-01-31T12:00:00.000Z"])]
"""A UTC time, written as ISO 8601 with `Z`."""


def chat_id(chat: str) -> str:
    """Return the chat id of what `Chat` admits: a phone number becomes `digits@c.us`."""
    return chat if "@" in chat else f"{chat.removeprefix('+')}@c.us"
