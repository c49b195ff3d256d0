"""Session states, their groups, and the table of allowed transitions.

Only the shard that holds the session's lease moves the state (the coordinator sets `pending` when it places a
session and `stopped` when nothing runs it); what *should* happen is `Desired`, which only the coordinator writes.
"""

from enum import StrEnum

from daemon.core.errors import IllegalTransitionError


class SessionState(StrEnum):
    """Where one session is in its life."""

    PENDING = "pending"
    """Wanted running; no shard has taken it up yet."""
    STARTING = "starting"
    """A shard holds the lease and restores the profile, starts Chromium, loads the page."""
    QR = "qr"
    """Waits for a phone to scan the QR code."""
    PAIRING = "pairing"
    """Waits for a phone to type the pairing code."""
    SYNCING = "syncing"
    """Logged in; WhatsApp is still delivering the first or the missed messages."""
    CONNECTED = "connected"
    """Logged in and usable."""
    DISCONNECTED = "disconnected"
    """Needs a scan: logged out, or paired once and nothing found to restore."""
    STOPPING = "stopping"
    """Chromium is being closed and the final backup taken."""
    STOPPED = "stopped"
    """Not running, on request."""
    FAILED = "failed"
    """Could not run; `reason` says why and `retry_at` when it is tried again."""
    CONFLICT = "conflict"
    """WhatsApp Web was opened elsewhere with this same device; closed here, and waits for an explicit start."""


class Desired(StrEnum):
    """What the operator wants of a session."""

    RUNNING = "running"
    STOPPED = "stopped"
    DELETED = "deleted"


_S = SessionState

LOGGED_IN = frozenset({_S.SYNCING, _S.CONNECTED})
"""A phone stands behind the session right now."""

NEEDS_SCAN = frozenset({_S.QR, _S.PAIRING})
"""A QR code or pairing code is on display."""

AT_REST = frozenset({_S.PENDING, _S.DISCONNECTED, _S.STOPPED, _S.FAILED, _S.CONFLICT})
"""No Chromium of this session is supposed to exist."""

WAITS_FOR_START = frozenset({_S.DISCONNECTED, _S.CONFLICT})
"""Not run again, although wanted, before somebody starts it explicitly."""

_WHILE_UP = frozenset({_S.QR, _S.PAIRING, _S.SYNCING, _S.CONNECTED})
_ENDS = frozenset({_S.STOPPING, _S.STOPPED, _S.FAILED, _S.DISCONNECTED, _S.CONFLICT, _S.PENDING, _S.STARTING})

TRANSITIONS: dict[SessionState, frozenset[SessionState]] = {
    _S.PENDING: frozenset({_S.STARTING, _S.STOPPED, _S.FAILED, _S.DISCONNECTED}),
    _S.STARTING: _WHILE_UP | _ENDS,
    **dict.fromkeys(_WHILE_UP, _WHILE_UP | _ENDS),
    _S.STOPPING: _ENDS,
    _S.STOPPED: frozenset({_S.PENDING, _S.STARTING}),
    _S.FAILED: frozenset({_S.PENDING, _S.STARTING, _S.STOPPED}),
    _S.DISCONNECTED: frozenset({_S.PENDING, _S.STARTING, _S.STOPPED}),
    _S.CONFLICT: frozenset({_S.PENDING, _S.STARTING, _S.STOPPED}),
}
"""From each state, where a session may go. Back to `starting` while it was up: its shard died and another began."""


def check_transition(before: SessionState, after: SessionState) -> None:
    """Do nothing if the change is allowed (staying where one is always is).

    Raises:
        IllegalTransitionError: a bug in the caller; nothing has been written yet.
    """
    if before != after and after not in TRANSITIONS[before]:
        raise IllegalTransitionError(f"a session cannot go from {before} to {after}")
