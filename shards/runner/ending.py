"""How a session's run ends: why it was asked to stop, and what that means for state and backups. Pure."""

from dataclasses import dataclass
from enum import StrEnum

from daemon.sessions.states import SessionState


class Stop(StrEnum):
    """Why a runner is asked to stop."""

    STOPPED = "stopped"
    """The session should not run any more."""
    DELETED = "deleted"
    """The session is being removed."""
    RESTART = "restart"
    """It should begin anew, on request."""
    MOVED = "moved"
    """It is placed on another shard."""
    SHUTDOWN = "shutdown"
    """The shard ends."""


@dataclass(frozen=True, kw_only=True)
class Ending:
    """What to do at the end of a run."""

    status: SessionState
    reason: str | None = None
    backup: bool = False
    """Close Chromium properly and store a last, clean backup."""
    void: bool = False
    """WhatsApp ended this login: its copies must never be restored."""
    failure: bool = False
    """Try again after a pause that grows with the failures in a row."""
    leaves: bool = False
    """The session will not run on this shard again: its profile is removed from here."""
    waits: bool = False
    """A store did not answer, so nothing is known: try again soon, for as long as it takes."""


_ENDINGS = {
    Stop.STOPPED: Ending(status=SessionState.STOPPED, backup=True),
    Stop.DELETED: Ending(status=SessionState.STOPPED, reason="deleted", leaves=True),
    Stop.RESTART: Ending(status=SessionState.PENDING, reason="restart", backup=True),
    Stop.MOVED: Ending(status=SessionState.PENDING, reason="moved", backup=True, leaves=True),
    Stop.SHUTDOWN: Ending(status=SessionState.PENDING, reason="shard_stopped", backup=True),
}

LOGGED_OUT = Ending(status=SessionState.DISCONNECTED, reason="logged_out", void=True)
OPENED_ELSEWHERE = Ending(status=SessionState.CONFLICT, reason="opened_elsewhere")
NOTHING_TO_RESTORE = Ending(status=SessionState.DISCONNECTED, reason="nothing_to_restore")
COPIES_DAMAGED = Ending(status=SessionState.DISCONNECTED, reason="copies_damaged")
LOGIN_NOT_ACCEPTED = Ending(status=SessionState.DISCONNECTED, reason="login_not_accepted")


@dataclass(frozen=True, kw_only=True)
class Lived:
    """How one time in Chromium went. `logged_in` says whether the page was logged in at any moment of it."""

    ending: Ending
    logged_in: bool = False

    @property
    def refused(self) -> bool:
        """Whether WhatsApp did not take the restored login: an older copy may still be good."""
        return not self.logged_in and self.ending in {LOGIN_NOT_ACCEPTED, LOGGED_OUT}


def ending_of_stop(stop: Stop) -> Ending:
    """Return the ending that a stop request means."""
    return _ENDINGS[stop]


def ending_of_failure(code: str) -> Ending:
    """Return the ending that an error of this code means."""
    return Ending(status=SessionState.FAILED, reason=code, failure=True)


def ending_of_silence(code: str) -> Ending:
    """Return the ending when a store did not answer, which says nothing about the session."""
    return Ending(status=SessionState.PENDING, reason=code, waits=True)


def retry_pause_s(failures: int) -> float:
    """Return how long to wait after so many failed starts in a row: 1, 2, 4, ... at most 60 seconds."""
    return min(60.0, 2.0 ** min(max(0, failures - 1), 6))
