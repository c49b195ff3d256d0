"""What state a page is in: a pure reading of the facts that the bridge reports. No I/O.

The state always comes from such a snapshot and never from the history of events: events get lost in reloads, and
wa-js sends none for a session that is logged in already when it starts.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class PageState(StrEnum):
    """Where the page is."""

    BOOTING = "booting"
    """Loading, or wa-js has not found WhatsApp's modules yet: nothing is known."""
    QR = "qr"
    """Not logged in; shows a QR code, or waits to be asked for new ones when there is none."""
    PAIRING = "pairing"
    """Not logged in; a pairing code is on display."""
    SYNCING = "syncing"
    """Logged in; messages and chats are still being delivered."""
    CONNECTED = "connected"
    """Logged in and usable."""
    CONFLICT = "conflict"
    """The same device is in use elsewhere."""
    OFFLINE = "offline"
    """Logged in; the page has no connection to WhatsApp and tries again by itself."""
    LOGGED_OUT = "logged_out"
    """WhatsApp ended this login; the page's own data is wiped."""


@dataclass(frozen=True, kw_only=True)
class PageSnapshot:
    """The page at one moment. `qr` and `pairing_code` let anyone log in, so they are never shown in a repr."""

    state: PageState
    qr: str | None = field(default=None, repr=False)
    pairing_code: str | None = field(default=None, repr=False)
    phone: str | None = None
    """Digits of the account's own number."""
    pushname: str | None = None
    mode: str | None = None
    """WhatsApp's own word: QR, SYNCING, MAIN, CONFLICT, ..."""
    socket: str | None = None
    """WhatsApp's own word: OPENING, PAIRING, UNPAIRED, UNPAIRED_IDLE, CONNECTED, TIMEOUT, CONFLICT, ..."""
    wa_version: str | None = None
    missing_modules: int = 0
    """How many of WhatsApp's modules wa-js looked for in vain: more than usual means that the site has changed."""
    modules_missed: bool = False
    """wa-js began before WhatsApp's modules were there, and will not find its way in this document any more."""
    logout_reason: str | None = None


BOOTING = PageSnapshot(state=PageState.BOOTING)

_STARTING_SOCKETS = frozenset({"OPENING", "PAIRING", "CONNECTED", "UNLAUNCHED", "RESUMING"})
_TEXT_CHARS = 400
_QR_CHARS = 2000


def read_snapshot(raw: object) -> PageSnapshot:
    """Return the snapshot for what the bridge reported; anything that makes no sense counts as not known."""
    if not isinstance(raw, Mapping):
        return BOOTING
    facts = {str(name): value for name, value in raw.items()}
    state = _state(facts)
    logged_in = state in {PageState.SYNCING, PageState.CONNECTED, PageState.OFFLINE, PageState.CONFLICT}
    return PageSnapshot(
        state=state,
        qr=_text(facts, "qr", _QR_CHARS) if state is PageState.QR else None,
        pairing_code=_text(facts, "pairing_code") if state is PageState.PAIRING else None,
        phone=_phone(facts) if logged_in else None,
        pushname=_text(facts, "pushname") if logged_in else None,
        mode=_text(facts, "mode"),
        socket=_text(facts, "socket"),
        wa_version=_text(facts, "wa_version"),
        missing_modules=_count(facts, "missing_modules"),
        modules_missed=facts.get("modules_missed") is True,
        logout_reason=_text(facts, "logout_reason") if state is PageState.LOGGED_OUT else None,
    )


def _state(facts: Mapping[str, Any]) -> PageState:
    authenticated = facts.get("authenticated") is True
    # WhatsApp goes to /?post_logout=1 after a logout. The address stays when somebody logs in there again.
    if facts.get("post_logout") is True and not authenticated:
        return PageState.LOGGED_OUT
    if facts.get("injected") is not True or facts.get("modules_missed") is True:
        return PageState.BOOTING
    socket = _text(facts, "socket")
    if socket == "CONFLICT" or facts.get("mode") == "CONFLICT":
        return PageState.CONFLICT
    if authenticated:
        return _logged_in(facts)
    if socket == "PAIRING" and not facts.get("qr"):
        # The phone has scanned; WhatsApp reconnects to log in.
        return PageState.SYNCING
    if _text(facts, "pairing_code"):
        return PageState.PAIRING
    if _text(facts, "qr", _QR_CHARS) or socket in {"UNPAIRED", "UNPAIRED_IDLE"}:
        return PageState.QR
    return PageState.BOOTING


def _logged_in(facts: Mapping[str, Any]) -> PageState:
    # isMainReady() of wa-js is true on the QR screen already, so it is not asked.
    usable = facts.get("main_loaded") is True and facts.get("mode") == "MAIN"
    socket = _text(facts, "socket")
    if usable and socket == "CONNECTED":
        return PageState.CONNECTED
    if usable or socket not in _STARTING_SOCKETS:
        return PageState.OFFLINE
    return PageState.SYNCING


def _text(facts: Mapping[str, Any], name: str, limit_chars: int = _TEXT_CHARS) -> str | None:
    value = facts.get(name)
    return value if isinstance(value, str) and 0 < len(value) <= limit_chars else None


def _phone(facts: Mapping[str, Any]) -> str | None:
    found = re.match(r"(\d{5,20})(?:[:.]\d+)?(?:@(?:c\.us|s\.whatsapp\.net))?$", str(facts.get("me", "")), re.ASCII)
    return found[1] if found else None


def _count(facts: Mapping[str, Any], name: str) -> int:
    value = facts.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1_000_000 else 0
