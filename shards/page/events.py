"""Events that come out of the page: a checked reading of what the bridge sends."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from shards.page.text import storable


class PageEventKind(StrEnum):
    """What an event tells."""

    STATE_HINT = "state_hint"
    """Something about the state may have changed: take a snapshot. Data: {source}."""
    MESSAGE = "message"
    """A message came in, or this account sent one elsewhere. Seen at least once; `id` is stable."""
    REACTION = "reaction"
    """Somebody reacted to a message: {message_id, chat, from, emoji, timestamp, reaction_id}; no emoji: taken back."""
    EDITED = "edited"
    """A message got another text: {message_id, chat, from, body, timestamp, edit_id}."""
    REVOKED = "revoked"
    """A message was taken back by who sent it: {message_id, chat, from, timestamp}."""
    ACK = "ack"
    """A sent message got further: {message_id, ack, chat}; ack 1 sent, 2 delivered, 3 read, 4 played."""
    LOGGED_OUT = "logged_out"
    """WhatsApp ended the login: {reason}."""
    RECEIPT = "receipt"
    """The page waits until all that it told before has been taken: {number}. Answered by the driver."""
    PAGE_ERROR = "page_error"
    """The bridge itself failed somewhere: {where, error}."""


@dataclass(frozen=True, kw_only=True)
class PageEvent:
    """One event. `data` holds people's words, so it is never shown in a repr."""

    kind: PageEventKind
    data: Mapping[str, Any] = field(default_factory=dict, repr=False)


Take = Callable[[PageEvent], None]
"""Takes an event in the moment in which the page tells it; must not raise or wait."""

MAX_PAYLOAD_CHARS = 1_000_000


def read_event(payload: object) -> PageEvent | None:
    """Return the event in a call of the bridge's binding, or None for what the bridge never sends.

    Any script in the page could call the binding, so nothing in it is believed beyond its shape.
    """
    if not isinstance(payload, str) or len(payload) > MAX_PAYLOAD_CHARS:
        return None
    try:
        raw = storable(json.loads(payload))
        kind = PageEventKind(raw["kind"])
        data = raw["data"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    if not isinstance(data, dict) or not _REQUIRED[kind] <= data.keys():
        return None
    return PageEvent(kind=kind, data=data)


_CHANGE = frozenset({"message_id", "chat", "from", "timestamp"})
_REQUIRED: Mapping[PageEventKind, frozenset[str]] = {
    PageEventKind.STATE_HINT: frozenset({"source"}),
    PageEventKind.MESSAGE: frozenset({"id", "from", "to", "body", "type", "timestamp", "from_me"}),
    PageEventKind.REACTION: _CHANGE | {"emoji", "reaction_id"},
    PageEventKind.EDITED: _CHANGE | {"body", "edit_id"},
    PageEventKind.REVOKED: _CHANGE,
    PageEventKind.ACK: frozenset({"message_id", "ack", "chat"}),
    PageEventKind.LOGGED_OUT: frozenset({"reason"}),
    PageEventKind.RECEIPT: frozenset({"number"}),
    PageEventKind.PAGE_ERROR: frozenset({"where", "error"}),
}
