"""The census: which sessions the bucket knows, for when Redis does not.

One listing of the whole bucket, a HEAD for the newest archive of each session (only it tells the user), a GET for each
mark. What is in memory grows with the names of the sessions only. Reads; never writes.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncGenerator, Callable
from datetime import datetime

import structlog

from daemon.core.clock import parse_iso, utc_now
from daemon.core.errors import DamagedError, ObjectNotFoundError
from daemon.core.ids import is_id
from daemon.core.loops import cancel_all
from daemon.objectstore.archives import Archives
from daemon.objectstore.catalogue import ArchiveRef
from daemon.objectstore.facts import ObjectFacts
from daemon.objectstore.found import CensusTally, Found, by_who
from daemon.objectstore.legacy import legacy_prefixes, parse_legacy_key
from daemon.objectstore.marks import Mark
from daemon.sessions.known import KnownSession
from daemon.sessions.states import Desired

log = structlog.get_logger()

CENSUS_PARALLEL = 16
"""Requests under way at once: with R2 some 40 ms away, 3,000 sessions take 10 s; more would hardly be faster."""
_ALL_ARCHIVES = "workspace_"

Progress = Callable[[CensusTally], None]


async def census(
    archives: Archives, *, legacy_prefix: str = "", parallel: int = CENSUS_PARALLEL, progress: Progress | None = None
) -> AsyncGenerator[KnownSession, None]:
    """Yield each session that has an archive or a mark, once.

    The same session id may come with several workspaces. `parallel` requests are under way at once, as far as the
    executor of `archives` has threads; `progress` is told after each session and is not to change what it is given.

    Raises:
        ObjectStoreUnavailableError, ObjectStoreRefusedError: what was not yielded yet is not known.
    """
    tally = CensusTally()
    pending: deque[asyncio.Task[KnownSession | None]] = deque()

    async def next_known() -> KnownSession | None:
        known = await pending[0]
        pending.popleft()
        tally.sessions += known is not None
        if progress is not None:
            progress(tally)
        return known

    try:
        async with (
            contextlib.aclosing(_objects(archives, legacy_prefix)) as objects,
            contextlib.aclosing(by_who(objects, legacy_prefix, tally)) as sessions,
        ):
            async for found in sessions:
                pending.append(asyncio.create_task(_ask(archives, found, tally)))
                if len(pending) >= max(1, parallel) and (known := await next_known()):
                    yield known
        while pending:
            if known := await next_known():
                yield known
    finally:
        await cancel_all(pending)


async def _objects(archives: Archives, legacy_prefix: str) -> AsyncGenerator[ObjectFacts, None]:
    for prefix in (_ALL_ARCHIVES, *legacy_prefixes(legacy_prefix)):
        async with contextlib.aclosing(archives.objects(prefix)) as objects:
            async for item in objects:
                yield item


async def _ask(archives: Archives, found: Found, tally: CensusTally) -> KnownSession | None:
    """Ask for what the listing does not say; None if everything of the session is gone by now."""
    mark = await _mark(archives, found, tally) if found.marked else None
    newest, facts = await _newest(archives, found) if found.newest else (None, None)
    if newest is None and found.legacy is not None:
        newest, facts = (0, 0), await _legacy_facts(archives, found.legacy)
    if newest is None and mark is None:
        return None
    return KnownSession(
        session_id=found.session_id,
        workspace_id=found.workspace_id,
        user_id=_user_of(found, facts),
        void_token=mark.void_token if mark else 0,
        desired=_desired(mark, newest),
        newest=newest,
        backed_up_at=backed_up_at(facts) if facts else None,
        wished_at=mark.at if mark else None,
        marked=mark.text if mark else None,
    )


async def _newest(archives: Archives, found: Found) -> tuple[tuple[int, int] | None, ObjectFacts | None]:
    """Return order and facts of the newest archive that is still there: others may remove some meanwhile."""
    assert found.newest is not None
    refs: tuple[ArchiveRef, ...] = (found.newest,)
    while refs:
        with contextlib.suppress(ObjectNotFoundError):
            return refs[0].order, await archives.facts(refs[0].key)
        refs = await archives.newest_first(found.workspace_id, found.session_id)
    return None, None


async def _legacy_facts(archives: Archives, item: ObjectFacts) -> ObjectFacts:
    """Return what is known of another service's zip; its name alone tells the user mostly."""
    name = parse_legacy_key(item.key)
    if name is not None and name.user_id is not None:
        return item
    with contextlib.suppress(ObjectNotFoundError):
        return await archives.facts(item.key)
    return item


async def _mark(archives: Archives, found: Found, tally: CensusTally) -> Mark | None:
    try:
        mark = await archives.get_mark(found.workspace_id, found.session_id)
    except DamagedError as error:
        # Somebody wanted something other than that it runs. Stopped can be undone with a start.
        tally.unreadable += 1
        log.warning(
            "a session's mark cannot be read: it counts as stopped", session_id=found.session_id, code=error.code
        )
        return Mark(desired=Desired.STOPPED, void_token=0, at=utc_now())
    tally.marks += mark is not None
    return mark


def _desired(mark: Mark | None, newest: tuple[int, int] | None) -> Desired | None:
    if mark is None:
        return None
    if mark.desired is Desired.DELETED and newest is not None and newest[0] > mark.void_token:
        # A session of this id was made again: tokens only grow.
        return Desired.RUNNING
    return mark.desired


def _user_of(found: Found, facts: ObjectFacts | None) -> str | None:
    told = facts.metadata.get("user-id") if facts else None
    if told is None and found.newest is None and found.legacy is not None:
        name = parse_legacy_key(found.legacy.key)
        told = name.user_id if name else None
    return told if told and is_id(told) else None


def backed_up_at(facts: ObjectFacts) -> datetime:
    """Return when an archive was made, or at least stored."""
    with contextlib.suppress(ValueError):
        return parse_iso(facts.metadata.get("backed-up-at", ""))
    return facts.stored_at
