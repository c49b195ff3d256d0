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
    DISCONNECTED = "disconnected"
    CONFLICT = "conflict"
    BACKUP_COMPLETED = "backup_completed"
    BACKUP_FAILED = "backup_failed"
    RESTORE_FAILED = "restore_failed"


@dataclass(frozen=True, kw_only=True)
class Event:
    """One event. `event_id` is the same on every delivery try, so a receiver can drop repeats."""

    event_id: str
    kind: EventKind
    session_id: str
    workspace_id: str
    user_id: str
    at: datetime
    data: Mapping[str, Any] = field(default_factory=dict)
