"""The summary of a session: the fields of its record that placing looks at, small enough to read all of them often."""

from dataclasses import dataclass

from daemon.sessions.states import AT_REST, NEEDS_SCAN, Desired, SessionState

_SETTLED_UP = frozenset({SessionState.CONNECTED, *NEEDS_SCAN})
_ENDED = frozenset({SessionState.DISCONNECTED, SessionState.CONFLICT, SessionState.STOPPED})


@dataclass(frozen=True, kw_only=True, slots=True)
class Summary:
    """What the reconcile loop knows of one session; each field is that of the record."""

    session_id: str
    workspace_id: str
    desired: Desired
    serial: int
    status: SessionState
    shard: str | None
    moving_from: str | None
    runs_on: str | None
    unsaved: str | None
    token: int
    void_token: int
    marked: str | None

    @property
    def settled(self) -> bool:
        """Whether it is up or has ended where it is placed: neither its start nor its end is under way."""
        if self.status in _ENDED:
            return True
        return self.runs_on == self.shard and (self.status in _SETTLED_UP or self.status is SessionState.FAILED)

    @property
    def movable(self) -> bool:
        """Whether a planned handover may begin now.

        Not in the midst of a start or an end, where a final backup is not to be had. Not with a state that lies on
        one disk only: the next shard would begin with an older one.
        """
        return self.moving_from is None and self.unsaved is None and (self.status in AT_REST or self.settled)
