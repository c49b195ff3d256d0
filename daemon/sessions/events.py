"""Events: what happened to a session, as Laravel is told."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any


class EventKind(StrEnum):
    """The event names of the webhook contract."""

    QR = "qr"
    PAIRING_CODE = "pairing_code"
    AUTHENTICATED = "authenticated"
    SESSION_RESTORED = "session_restored"
    READY = "ready"
    MESSAGE = "message"
    MESSAGE_ACK = "message_ack"
    MESSAGE_REACTION = "message_reaction"
    MESSAGE_EDITED = "message_edited"
    MESSAGE_REVOKED = "message_revoked"
    DISCONNECTED = "disconnected"
    CONFLICT = "conflict"
    BACKUP_COMPLETED = "backup_completed"
    BACKUP_FAILED = "backup_failed"
    RESTORE_FAILED = "restore_failed"
    RESTORE_PROGRESS = "restore_progress"
    """How far a restore job of many sessions is."""
    RESTORE_COMPLETED = "restore_completed"
    """Nothing of a restore job waits any more."""


@dataclass(frozen=True, kw_only=True)
class Event:
    """One event. `event_id` is the same on every delivery try, so a receiver can drop repeats.

    Of an event that is not one session's the ids are empty.
    """

    event_id: str
    kind: EventKind
    session_id: str
    workspace_id: str
    user_id: str
    at: datetime
    data: Mapping[str, Any] = field(default_factory=dict)
