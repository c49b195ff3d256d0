"""What one listing of the bucket shows of each session: its newest archive, its mark, another service's zip.

Pure: it is given the objects in the order of their keys. Asked by the census.
"""

from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass

from daemon.objectstore.catalogue import ArchiveRef, archive_ref
from daemon.objectstore.facts import ObjectFacts
from daemon.objectstore.legacy import legacy_keys, parse_legacy_key
from daemon.objectstore.marks import parse_mark_key


@dataclass(kw_only=True)
class CensusTally:
    """How far a census is. `skipped`: objects that are nobody's archive or mark; `unreadable`: marks."""

    objects: int = 0
    sessions: int = 0
    marks: int = 0
    unreadable: int = 0
    skipped: int = 0


@dataclass(kw_only=True)
class Found:
    """What the listing showed of one session."""

    workspace_id: str
    session_id: str
    newest: ArchiveRef | None = None
    marked: bool = False
    legacy: ObjectFacts | None = None

    @property
    def who(self) -> tuple[str, str]:
        return (self.workspace_id, self.session_id)


async def by_who(
    objects: AsyncIterator[ObjectFacts], legacy_prefix: str, tally: CensusTally
) -> AsyncGenerator[Found, None]:
    """Yield what the listing shows of each session.

    The archives of ours and the mark of a session are neighbours, so it is complete once another one comes. Another
    service's zip may lie far from them and counts only where there is no archive: what has none waits for the end.
    """
    current: Found | None = None
    told: set[tuple[str, str]] = set()
    waiting: dict[tuple[str, str], Found] = {}
    async for item in objects:
        tally.objects += 1
        one = _read(item, legacy_prefix)
        if one is None:
            tally.skipped += 1
        elif one.legacy is not None:
            _merge(waiting.setdefault(one.who, one), one)
        elif current is not None and current.who == one.who:
            _merge(current, one)
        else:
            if current is not None and (whole := _complete(current, told, waiting)):
                yield whole
            current = one
    if current is not None and (whole := _complete(current, told, waiting)):
        yield whole
    for who, found in waiting.items():
        if who not in told:
            yield found


def _complete(found: Found, told: set[tuple[str, str]], waiting: dict[tuple[str, str], Found]) -> Found | None:
    """Return the session if it has an archive of ours; else let it wait."""
    if found.newest is None:
        _merge(waiting.setdefault(found.who, found), found)
        return None
    told.add(found.who)
    return found


def _merge(into: Found, other: Found) -> None:
    into.marked |= other.marked
    if other.newest is not None and (into.newest is None or other.newest.order > into.newest.order):
        into.newest = other.newest
    if other.legacy is not None and (into.legacy is None or other.legacy.stored_at > into.legacy.stored_at):
        into.legacy = other.legacy


def _read(item: ObjectFacts, legacy_prefix: str) -> Found | None:
    """Return whose object it is, None if it is nobody's."""
    ref = archive_ref(item)
    if ref is not None:
        return Found(workspace_id=ref.workspace_id, session_id=ref.session_id, newest=ref)
    who = parse_mark_key(item.key)
    if who is not None:
        return Found(workspace_id=who[0], session_id=who[1], marked=True)
    name = parse_legacy_key(item.key)
    if name is None or name.workspace_id is None:
        return None
    # Only where a restore would look for it.
    if item.key not in legacy_keys(name.workspace_id, name.session_id, legacy_prefix):
        return None
    return Found(workspace_id=name.workspace_id, session_id=name.session_id, legacy=item)
