"""What to write into Redis for a session that another source knows and Redis may have lost. Pure."""

from dataclasses import dataclass
from datetime import datetime

from daemon.registry.tombstones import Tombstone
from daemon.sessions.known import KnownSession
from daemon.sessions.record import SessionRecord
from daemon.sessions.states import Desired, SessionState

UNKNOWN_USER = "unknown"
"""The user of a session whose archives do not tell it."""


@dataclass(frozen=True, kw_only=True)
class Mending:
    """What one session needs; all None: nothing."""

    record: SessionRecord | None = None
    """A record to create."""
    void_token: int | None = None
    """What the present record must say at least."""
    tombstone: Tombstone | None = None
    """A tombstone to write, so that the archives of an ended login are removed some day."""


def plan_mending(
    known: KnownSession,
    record: SessionRecord | None,
    grave: Tombstone | None,
    *,
    wanted: frozenset[str] | None,
    now: datetime,
) -> Mending:
    """Decide about one session.

    `record` and `grave` are what Redis has of it. `wanted` is what the platform says should run, None when there is no
    platform to ask. What somebody stopped stays stopped either way.
    """
    if record is not None:
        if record.workspace_id == known.workspace_id and record.void_token < known.void_token:
            return Mending(void_token=known.void_token)
        return Mending()
    ended = max(known.void_token, grave.void_token if grave else 0)
    alive = known.newest is not None and (ended == 0 or known.newest[0] > ended)
    tombstone = _tombstone(known, grave, now)
    if known.desired is Desired.DELETED or not alive:
        return Mending(tombstone=tombstone)
    if known.newest == (0, 0) and (wanted is None or known.session_id not in wanted):
        # A zip of another service, which may still run this session: it takes an explicit wish to take it over.
        return Mending()
    return Mending(record=recovered(known, _desired(known, wanted), ended, now), tombstone=tombstone)


def recovered(known: KnownSession, desired: Desired, void_token: int, now: datetime) -> SessionRecord:
    """Return a new record of a session that was linked once: it never asks for a scan by itself."""
    return SessionRecord(
        session_id=known.session_id,
        workspace_id=known.workspace_id,
        user_id=known.user_id or UNKNOWN_USER,
        created_at=now,
        desired=desired,
        status=SessionState.PENDING if desired is Desired.RUNNING else SessionState.STOPPED,
        status_at=now,
        reason="recovered",
        paired=True,
        scan_allowed=False,
        void_token=void_token,
        marked=known.marked,
        active_at=known.backed_up_at,
    )


def _desired(known: KnownSession, wanted: frozenset[str] | None) -> Desired:
    # An explicit stop was asked of us; the platform's list may not have heard of it.
    if known.desired is Desired.STOPPED or (wanted is not None and known.session_id not in wanted):
        return Desired.STOPPED
    return Desired.RUNNING


def _tombstone(known: KnownSession, grave: Tombstone | None, now: datetime) -> Tombstone | None:
    if known.void_token == 0 or (grave is not None and grave.void_token >= known.void_token):
        return None
    return Tombstone(
        session_id=known.session_id,
        workspace_id=known.workspace_id,
        void_token=known.void_token,
        at=known.wished_at or now,
    )
