"""An event as the bytes that are posted. Every try of one event posts the same bytes."""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from daemon.core.clock import iso
from daemon.sessions.events import Event

TEST_EVENT = "test"
"""Name of the event that operators send to see whether an endpoint takes events. It is told at no other time."""


def body_of(event: Event) -> bytes:
    """Return the JSON body in UTF-8.

    A lone surrogate, which a cut-off emoji in a message can leave, becomes `?`: PHP's json_decode refuses the escape.
    """
    return _encoded(
        {
            "id": event.event_id,
            "event": event.kind.value,
            "session_id": event.session_id or None,
            "workspace_id": event.workspace_id or None,
            "user_id": event.user_id or None,
            "timestamp": iso(event.at),
            "data": dict(event.data),
        }
    )


def body_of_test(event_id: str, at: datetime, endpoint: str) -> bytes:
    """Return the body of a test event, in the form of any other."""
    return _encoded(
        {
            "id": event_id,
            "event": TEST_EVENT,
            "session_id": None,
            "workspace_id": None,
            "user_id": None,
            "timestamp": iso(at),
            "data": {"endpoint": endpoint},
        }
    )


def _encoded(body: Mapping[str, Any]) -> bytes:
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode(errors="replace")
