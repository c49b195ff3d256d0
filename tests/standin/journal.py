"""What happened: the messages that were really accepted or delivered, and a log of events for tests to read."""

from __future__ import annotations

import json
import sys
import time
from collections import deque
from typing import Any

# A demo may run for days; tests look only at the recent past.
KEEP_MESSAGES = 100_000
KEEP_EVENTS = 100_000


class Journal:
    """Two bounded lists. A message that was refused is an event, never a message."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._quiet = quiet
        self.messages: deque[dict[str, Any]] = deque(maxlen=KEEP_MESSAGES)
        self.events: deque[dict[str, Any]] = deque(maxlen=KEEP_EVENTS)
        self._accepted: dict[tuple[int, str], dict[str, Any]] = {}

    def event(self, kind: str, **fields: Any) -> None:
        """Note an event, and print it as one line on stderr unless quiet."""
        self.events.append({"t": round(time.time(), 3), "kind": kind, **fields})
        if not self._quiet:
            print("[standin]", kind, json.dumps(fields), file=sys.stderr, flush=True)

    def accepted(self, device_id: int, message_id: str) -> dict[str, Any] | None:
        """The outgoing message with this id, if the device sent it before: pages repeat what was not acknowledged."""
        return self._accepted.get((device_id, message_id))

    def accept(self, message: dict[str, Any]) -> None:
        """Note an outgoing message. Its `frames` say how often it came."""
        message["frames"] = 1
        self.messages.append(message)
        self._accepted[(message["device"], message["id"])] = message
        while len(self._accepted) > KEEP_MESSAGES:
            self._accepted.pop(next(iter(self._accepted)))

    def repeated(self, message: dict[str, Any]) -> None:
        """Note that an outgoing message came once more."""
        message["frames"] += 1
        self.event("message-again", id=message["id"], frames=message["frames"])

    def find(self, message_id: str) -> dict[str, Any] | None:
        """Return the newest message of this id, in either direction."""
        return next((message for message in reversed(self.messages) if message["id"] == message_id), None)

    def deliver(self, message: dict[str, Any]) -> None:
        """Note an incoming message."""
        self.messages.append(message)
