"""An event as the bytes that are posted. Every try of one event posts the same bytes."""

import json

from daemon.core.clock import iso
from daemon.sessions.events import Event


def body_of(event: Event) -> bytes:
    """Return the JSON body in UTF-8.

    A lone surrogate, which a cut-off emoji in a message can leave, becomes `?`: PHP's json_decode refuses the escape.
    """
    text = json.dumps(
        {
            "id": event.event_id,
            "event": event.kind.value,
            "session_id": event.session_id or None,
            "workspace_id": event.workspace_id or None,
            "user_id": event.user_id or None,
            "timestamp": iso(event.at),
            "data": dict(event.data),
        },
        ensure_ascii=False,
        separators=(",", ":"),
    )
    return text.encode(errors="replace")
