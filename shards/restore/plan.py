"""`plan_sources`: which stored copies of a session may be restored, best first. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from daemon.objectstore.catalogue import ArchiveRef
from daemon.sessions.record import SessionRecord


@dataclass(frozen=True, kw_only=True)
class Source:
    """One copy to try: the hot copy, or the archive `ref`."""

    order: tuple[int, int]
    ref: ArchiveRef | None

    @property
    def name(self) -> str:
        """`redis` or `r2`."""
        return "redis" if self.ref is None else "r2"


def plan_sources(
    record: SessionRecord, *, hot_copy: tuple[int, int] | None, archives: Sequence[ArchiveRef]
) -> tuple[Source, ...]:
    """Return the copies to try: highest `(token, generation)` first, the hot copy before an equal archive.

    Copies of a login that was ended on purpose (token up to `record.void_token`) are left out.
    """
    sources = [Source(order=(ref.token, ref.generation), ref=ref) for ref in archives]
    if hot_copy is not None:
        sources.append(Source(order=hot_copy, ref=None))
    alive = [source for source in sources if source.order[0] > record.void_token]
    return tuple(sorted(alive, key=lambda s: (s.order, s.ref is None), reverse=True))


def hot_copy_is_newest(record: SessionRecord, hot_copy: tuple[int, int] | None) -> bool:
    """Whether the record proves that no archive is newer than the hot copy, so that R2 need not be asked."""
    if hot_copy is None or hot_copy[0] <= record.void_token:
        return False
    return record.archive is None or record.archive.order <= hot_copy
