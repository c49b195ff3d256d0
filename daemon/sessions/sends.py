"""What is known of a message that was asked to be sent under an idempotency key. Pure.

The key names one message for good: its id at WhatsApp is made from key and content, so that even if everything written
about the first try is lost, a second try is the same message to WhatsApp and to the page's own store.
"""

import hashlib
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

_PREFIX = "3EB0"
_ID_BYTES = 9


class SendState(StrEnum):
    """Whether a message went out."""

    PENDING = "pending"
    """Somebody tries right now."""
    SENT = "sent"
    NOT_SENT = "not_sent"
    """Certainly not; the same key may be tried again."""
    UNKNOWN = "unknown"
    """It may have gone out; the same key may be tried again, as that cannot double it."""


@dataclass(frozen=True, kw_only=True)
class SendFacts:
    """What is known of one key. `sent_id`, `ack` and `timestamp` (Unix seconds) are those of a sent message."""

    state: SendState
    message_id: str | None
    """Chosen before the first try; without chat. None if Redis may have lost what it knew of the key."""
    sent_id: str | None = None
    ack: int | None = None
    timestamp: int | None = None
    code: str | None = None
    """Why the last try did not end well."""


@dataclass(frozen=True, kw_only=True)
class Ticket:
    """The right to try one message under one key, until it is settled or too old."""

    key: str
    """Digest of the idempotency key."""
    attempt: str
    message_id: str
    doubtful: bool = False
    """An earlier try may have sent it: nothing but `sent` is certain any more."""

    def to_arguments(self) -> dict[str, Any]:
        """Return it as plain JSON values."""
        return {"key": self.key, "attempt": self.attempt, "message_id": self.message_id, "doubtful": self.doubtful}

    @classmethod
    def from_arguments(cls, raw: Mapping[str, Any]) -> "Ticket":
        """Return the ticket in a command. Raises KeyError for anything else."""
        return cls(
            key=raw["key"], attempt=raw["attempt"], message_id=raw["message_id"], doubtful=raw["doubtful"] is True
        )


def key_digest(key: str) -> str:
    """Return what stands for an idempotency key in Redis: callers choose keys of any form."""
    return hashlib.blake2b(key.encode(), digest_size=16).hexdigest()


def fingerprint(request: Mapping[str, Any]) -> str:
    """Return the digest of what was asked for, by which a key that is used for another message is noticed."""
    text = json.dumps(request, sort_keys=True, separators=(",", ":"))
    return hashlib.blake2b(text.encode(errors="replace"), digest_size=16).hexdigest()


def message_id_of(session_id: str, key: str, asked: str) -> str:
    """Return the message id that belongs to a key and the fingerprint of its content."""
    text = f"{session_id}|{key}|{asked}"
    return _PREFIX + hashlib.blake2b(text.encode(), digest_size=_ID_BYTES).hexdigest().upper()


def new_message_id() -> str:
    """Return the id of a message without a key, in the form that WhatsApp Web gives them."""
    return _PREFIX + secrets.token_hex(_ID_BYTES).upper()
