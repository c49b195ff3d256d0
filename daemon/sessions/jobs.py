"""Restore jobs: many sessions that are to be connected again, and how far that is. Pure."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from daemon.sessions.states import SessionState

_S = SessionState
_NEEDS_HUMAN = frozenset({_S.QR, _S.PAIRING, _S.DISCONNECTED, _S.CONFLICT})
_RATE_NEEDS = 3

GIVE_UP_AFTER = timedelta(hours=24)
"""So long after it was asked for a job ends, whatever still waits: else what finds no place would keep it for ever."""


class JobSource(StrEnum):
    """Where a job takes its sessions from."""

    SESSIONS = "sessions"
    """Those that the request named."""
    REGISTRY = "registry"
    """All that Redis knows and that should run."""
    BUCKET = "bucket"
    """Those that the bucket knows and Redis does not, as after a loss of Redis."""
    PLATFORM = "platform"
    """Those that the platform's database calls connected."""


class JobState(StrEnum):
    """Where a job is."""

    WAITING = "waiting"
    """The leading coordinator has not taken it up yet."""
    RUNNING = "running"
    DONE = "done"
    """Every session is connected, failed, needs a person, or is not wanted any more; or the job gave up."""


@dataclass(frozen=True, kw_only=True)
class AskedSession:
    """A session that a request named. Without a workspace only Redis can be asked for it."""

    session_id: str
    workspace_id: str | None = None
    user_id: str | None = None


@dataclass(frozen=True, kw_only=True)
class RestoreJob:
    """One job. The counts add up to `total`."""

    job_id: str
    source: JobSource
    created_at: datetime
    state: JobState = JobState.WAITING
    began_at: datetime | None = None
    finished_at: datetime | None = None
    total: int = 0
    connected: int = 0
    waiting: int = 0
    """Not placed, starting or syncing."""
    failed: int = 0
    """Could not be started; tried again all the same."""
    needs_scan: int = 0
    """Only a person can bring them back: logged out, nothing to restore, or opened elsewhere."""
    ended: int = 0
    """Stopped or deleted since."""
    at_begin: int = 0
    """How many were settled when the job began."""
    eta_s: float | None = None
    """Seconds until nothing waits any more, from the rate so far; None while nobody can tell."""
    unknown: tuple[str, ...] = ()
    """The first of the ids that were named and that no source knows."""
    unknown_count: int = 0
    reason: str | None = None
    """Code of the error for which it could not be taken up."""
    gave_up: bool = False
    """It is done because it cannot be taken up, or lasted too long. What waits then is still wanted and goes on."""

    @property
    def settled(self) -> int:
        """How many do not wait any more."""
        return self.total - self.waiting

    @property
    def counts(self) -> tuple[int, ...]:
        """All that can change while it runs, but the time left."""
        return (self.total, self.connected, self.waiting, self.failed, self.needs_scan, self.ended)

    def is_overdue(self, now: datetime) -> bool:
        """Say whether it has lasted as long as a job may."""
        return now - self.created_at >= GIVE_UP_AFTER


def progressed(job: RestoreJob, statuses: Iterable[SessionState | None], now: datetime) -> RestoreJob:
    """Return the job as it is now; `statuses` are those of its sessions, None for one whose record is gone."""
    counts: Counter[str] = Counter(_kind(status) for status in statuses)
    seen = replace(
        job,
        connected=counts["connected"],
        failed=counts["failed"],
        needs_scan=counts["needs_scan"],
        ended=counts["ended"],
        waiting=counts["waiting"],
    )
    if seen.waiting == 0:
        return replace(seen, state=JobState.DONE, finished_at=now, eta_s=0.0)
    if job.is_overdue(now):
        return given_up(seen, now)
    return replace(seen, eta_s=_eta_s(seen, now))


def given_up(job: RestoreJob, now: datetime) -> RestoreJob:
    """Return the job as done, whatever still waits."""
    return replace(job, state=JobState.DONE, finished_at=now, gave_up=True, eta_s=None)


def _kind(status: SessionState | None) -> str:
    if status is None or status is SessionState.STOPPED:
        return "ended"
    if status is SessionState.CONNECTED:
        return "connected"
    if status is SessionState.FAILED:
        return "failed"
    return "needs_scan" if status in _NEEDS_HUMAN else "waiting"


def _eta_s(job: RestoreJob, now: datetime) -> float | None:
    done = job.settled - job.at_begin
    if job.began_at is None or done < _RATE_NEEDS:
        return None
    elapsed_s = max(0.001, (now - job.began_at).total_seconds())
    return round(job.waiting * elapsed_s / done, 1)
