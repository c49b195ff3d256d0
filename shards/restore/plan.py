"""Which copies of a session may be restored, and in which order. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from daemon.objectstore.catalogue import ArchiveRef
from daemon.sessions.copies import Order, may_restore
from daemon.sessions.record import SessionRecord


class Place(StrEnum):
    """Where a copy is."""

    LOCAL = "local"
    """The profile on this shard's disk, as a clean exit left it."""
    REDIS = "redis"
    R2 = "r2"


_SPEED = {Place.LOCAL: 2, Place.REDIS: 1, Place.R2: 0}


@dataclass(frozen=True, kw_only=True)
class Source:
    """One copy to try. `ref` is the archive's if it is in R2."""

    order: Order
    place: Place
    ref: ArchiveRef | None = None


def plan_sources(
    record: SessionRecord,
    *,
    local: Order | None,
    hot_copy: Order | None,
    archives: Sequence[ArchiveRef],
    touched: bool = False,
) -> tuple[Source, ...]:
    """Return the copies to try, without those that must not be restored.

    Highest `(token, generation)` first, of equal ones the one that is at hand first. A local profile that was
    `touched` since it was left clean comes last of equal ones.
    """
    sources = [Source(order=ref.order, place=Place.R2, ref=ref) for ref in archives]
    if hot_copy is not None:
        sources.append(Source(order=hot_copy, place=Place.REDIS))
    if local is not None:
        sources.append(Source(order=local, place=Place.LOCAL))
    alive = [source for source in sources if may_restore(record, source.order)]
    speed = _SPEED | ({Place.LOCAL: -1} if touched else {})
    return tuple(sorted(alive, key=lambda s: (s.order, speed[s.place]), reverse=True))


def is_newest(record: SessionRecord, order: Order, *, strictly: bool = False) -> bool:
    """Whether the record proves that no store has anything newer (or as new), so that they need not be asked.

    It does as every copy is in the record: a hot copy together with its body, an archive before it is sent.
    """
    known = [facts.order for facts in (record.hot_copy, record.archive) if facts is not None]
    known = [stored for stored in known if may_restore(record, stored)]
    if not known or not may_restore(record, order):
        return False
    if record.archive_begun is not None and may_restore(record, record.archive_begun):
        known.append(record.archive_begun)
    return order > max(known) or (order == max(known) and not strictly)
