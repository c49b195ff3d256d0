"""One page's websocket: what it has said about itself so far. Decides nothing."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from tests.standin.devices import Device

# A phone may still be pointed at the code that was shown a moment ago.
REF_GRACE_S = 5.0


@dataclass(slots=True)
class Offer:
    """The QR references given to one page, shown one after the other from the moment they were sent."""

    refs: list[str]
    ttl_s: float
    since_mono_s: float = field(default_factory=time.monotonic)

    def shows(self, ref: str) -> bool:
        """Whether the page shows `ref` now or did so within the grace time."""
        if ref not in self.refs:
            return False
        shown_from = self.refs.index(ref) * self.ttl_s
        age_s = time.monotonic() - self.since_mono_s
        return shown_from <= age_s <= shown_from + self.ttl_s + REF_GRACE_S


@dataclass(slots=True)
class Pending:
    """A pairing that waits for the page's signature."""

    device: Device
    adv: bytes
    confirmed: asyncio.Future[bool]


@dataclass(slots=True, eq=False)
class Connection:
    """State of one websocket, from its opening to its end."""

    ws: web.WebSocketResponse
    number: int
    noise_pub: bytes | None = None
    identity_pub: bytes | None = None
    offer: Offer | None = None
    link: dict[str, str] | None = None  # {code, phone} while a pairing code is out
    pending: Pending | None = None
    device: Device | None = None  # who it says it is; believed only when authed
    nonce: bytes | None = None
    authed: bool = False
    confirms: bool = False  # says `received` for every message it has stored
    unconfirmed: dict[str, dict[str, Any]] = field(default_factory=dict)  # by message id, in order of sending

    async def send(self, **frame: Any) -> None:
        """Send one frame; a socket that is closing loses it, as a real one would."""
        if self.ws.closed:
            return
        with contextlib.suppress(ConnectionError):
            await self.ws.send_str(json.dumps(frame))

    def leave(self) -> None:
        """Count as gone from now on; what the page did not confirm waits for its next log-in."""
        self.authed = False
        if self.device is not None and not self.device.revoked:
            self.device.queue[:0] = self.unconfirmed.values()
        self.unconfirmed.clear()
