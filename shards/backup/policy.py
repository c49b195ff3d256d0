"""`plan_backup`: what to store now, from what is known of the profile and of the copies stored. Pure."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class BackupClock:
    """When what was stored last (monotonic seconds, None: not since this start), and what it looked like."""

    hot_copy_mono_s: float | None = None
    archive_mono_s: float | None = None
    fingerprint: str | None = None
    """Of the profile's files when the last hot copy was taken."""
    archive_fingerprint: str | None = None


@dataclass(frozen=True, kw_only=True)
class BackupPlan:
    """What to store now."""

    hot_copy: bool
    archive: bool

    def __bool__(self) -> bool:
        return self.hot_copy or self.archive


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
    # An archive's bytes go to Redis as well: they are at hand, and the newest copy should be the fastest to restore.
    return BackupPlan(hot_copy=archive or (hot_due and fingerprint != clock.fingerprint), archive=archive)
