"""`plan_backup`: what to store now, from what is known of the profile and of the copies stored. Pure."""

from dataclasses import dataclass

_MAX_PAUSE_S = 60.0
_CALM_AFTER_S = 10.0


@dataclass(frozen=True, kw_only=True)
class BackupClock:
    """When what was stored last (monotonic seconds, None: not since this start), and what it looked like."""

    hot_copy_mono_s: float | None = None
    archive_mono_s: float | None = None
    fingerprint: str | None = None
    """Of the profile's files when the last hot copy was taken."""
    archive_fingerprint: str | None = None


@dataclass(frozen=True, kw_only=True)
class Outage:
    """Failures in a row of one kind of backup, and when to try again (monotonic seconds)."""

    failures: int = 0
    retry_mono_s: float = 0.0

    def longer(self, now_mono_s: float, *, max_pause_s: float = _MAX_PAUSE_S) -> "Outage":
        """Return it with one more failure: tried again after 1, 2, 4, ... at most `max_pause_s` seconds."""
        pause_s = min(max_pause_s, 2.0 ** min(self.failures, 20))
        return Outage(failures=self.failures + 1, retry_mono_s=now_mono_s + pause_s)

    def over(self, now_mono_s: float) -> bool:
        """Whether it may be tried (again)."""
        return now_mono_s >= self.retry_mono_s


@dataclass(frozen=True, kw_only=True)
class BackupPlan:
    """What to store now."""

    hot_copy: bool
    archive: bool
    archive_if_too_large: bool = False
    """Store an archive when the hot copy turns out to be larger than allowed."""

    def __bool__(self) -> bool:
        return self.hot_copy or self.archive


@dataclass(frozen=True, kw_only=True)
class Calm:
    """Since when (monotonic seconds) a profile's files have been as they are and its page has told nothing."""

    since_mono_s: float
    fingerprint: str | None = None

    def seen(self, fingerprint: str, now_mono_s: float, *, stirred: bool) -> "Calm":
        """Return it after a look at the files; `stirred` says that the page told something since the last one."""
        if stirred or fingerprint != self.fingerprint:
            return Calm(since_mono_s=now_mono_s, fingerprint=fingerprint)
        return self

    def lasts(self, now_mono_s: float, clock: BackupClock) -> bool:
        """Whether to look seldom: nothing has happened for a while, and the hot copy has all of it."""
        return now_mono_s - self.since_mono_s >= _CALM_AFTER_S and self.fingerprint == clock.fingerprint


def plan_backup(
    clock: BackupClock,
    *,
    now_mono_s: float,
    fingerprint: str,
    hot_copy_interval_s: float,
    archive_interval_s: float,
    archives_enabled: bool,
) -> BackupPlan:
    """Decide what is due: each kind only after its interval, and only when the profile's files changed since."""
    hot_due = clock.hot_copy_mono_s is None or now_mono_s - clock.hot_copy_mono_s >= hot_copy_interval_s
    archive_due = clock.archive_mono_s is None or now_mono_s - clock.archive_mono_s >= archive_interval_s
    archive = archives_enabled and archive_due and fingerprint != clock.archive_fingerprint
    # An archive goes to Redis as well: the newest copy should be the fastest to restore.
    return BackupPlan(hot_copy=archive or (hot_due and fingerprint != clock.fingerprint), archive=archive)
