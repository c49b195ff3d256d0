"""`plan_retention`: which archives of a session are no longer needed. Pure."""

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta

from daemon.objectstore.catalogue import ArchiveRef


def plan_retention(
    refs: Iterable[ArchiveRef],
    now: datetime,
    *,
    keep_newest: int = 2,
    daily: int = 3,
    below: tuple[int, int] | None = None,
) -> tuple[ArchiveRef, ...]:
    """Return the archives of one session that may be removed, oldest first.

    Kept are the `keep_newest` newest (never fewer than one, however old), the newest of each of the `daily` UTC days
    before today, and all whose order is not below `below`. Newest is by order, because a clock can be wrong; only
    days are by the store's clock, and when that runs ahead of `now`, its own today counts. Legacy archives are not
    ours to remove. With only some of a session's archives given, nothing is returned that would else be kept.
    """
    ordered = sorted((ref for ref in refs if not ref.legacy), key=lambda ref: ref.order, reverse=True)
    kept = {ref.key for ref in (*ordered[: max(1, keep_newest)], *_newest_of_days(ordered, now, daily))}
    return tuple(ref for ref in reversed(ordered) if ref.key not in kept and (below is None or ref.order < below))


def _newest_of_days(ordered: Iterable[ArchiveRef], now: datetime, daily: int) -> list[ArchiveRef]:
    """Return the first of each of the latest days, today and `daily` others, that is not too long ago."""
    if daily <= 0:
        return []
    first_day = (now.astimezone(UTC) - timedelta(days=daily)).date()
    newest: dict[date, ArchiveRef] = {}
    for ref in ordered:
        newest.setdefault(ref.stored_at.astimezone(UTC).date(), ref)
    latest = sorted((day for day in newest if day >= first_day), reverse=True)
    return [newest[day] for day in latest[: daily + 1]]
