"""`plan_retention`: which archives of a session are no longer needed. Pure."""

from collections.abc import Iterable
from datetime import datetime, timedelta

from daemon.objectstore.catalogue import ArchiveRef


def plan_retention(
    refs: Iterable[ArchiveRef], now: datetime, *, keep_newest: int = 2, daily: int = 3
) -> tuple[ArchiveRef, ...]:
    """Return the archives of one session that may be removed, oldest first.

    Kept are the `keep_newest` newest (never fewer than one, however old), and the newest of each of the `daily` UTC
    days before today.
    """
    ordered = sorted(refs, key=lambda ref: ref.order, reverse=True)
    kept = set(ordered[: max(1, keep_newest)])
    for days in range(1, daily + 1):
        day = (now - timedelta(days=days)).date()
        kept.update(next(([ref] for ref in ordered if ref.stored_at.date() == day), []))
    return tuple(ref for ref in reversed(ordered) if ref not in kept)
