"""Marks are kept up: what Redis says is wanted of a session is written beside its archives. The leader's work.

Level-triggered: a record notes in `marked` what its mark says, so a look costs nothing where nothing changed, and a
death between wish, mark and note only delays. What outlives a record is its tombstone, whose mark is read once in a
process. A session that should run, as most do, has no mark.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Protocol, TypeVar

import structlog

from daemon.coordinator.leader import Leadership
from daemon.core.clock import utc_now
from daemon.core.errors import BlazzError, DamagedError, SessionNotFoundError
from daemon.core.loops import first_done
from daemon.objectstore.archives import Archives
from daemon.objectstore.marks import Mark, mark_text
from daemon.registry.registry import Registry
from daemon.registry.tombstones import Tombstone
from daemon.sessions.record import SessionRecord
from daemon.sessions.states import Desired

log = structlog.get_logger()

_NO_MARK = mark_text(Desired.RUNNING, 0)
_PARALLEL = 4
_BATCH = 100
_T = TypeVar("_T")


class Wished(Protocol):
    """What a mark depends on: a record, or a summary of one."""

    @property
    def session_id(self) -> str: ...

    @property
    def desired(self) -> Desired: ...

    @property
    def token(self) -> int: ...

    @property
    def void_token(self) -> int: ...

    @property
    def marked(self) -> str | None: ...


def wish_of(record: Wished) -> str:
    """Return what the mark of a record should say, as `mark_text` has it."""
    return mark_text(record.desired, _void_token(record))


def needs_marking(record: Wished) -> bool:
    """Whether the mark of a record says something else than its wish. No mark says that it should run."""
    return wish_of(record) != (record.marked or _NO_MARK)


def _void_token(record: Wished) -> int:
    # A delete voids everything that there is; the tombstone says the same once the record is gone.
    return max(record.void_token, record.token) if record.desired is Desired.DELETED else record.void_token


class MarkKeeper:
    """Writes marks, if this coordinator leads, until `stop` is set."""

    def __init__(self, registry: Registry, archives: Archives, leadership: Leadership, stop: asyncio.Event) -> None:
        self._registry = registry
        self._archives = archives
        self._leadership = leadership
        self._stop = stop
        self._waiting: set[str] = set()
        self._settled: set[Tombstone] = set()
        """Tombstones that need no look any more. A later end of the same login has another time."""
        self.wake = asyncio.Event()

    def see(self, records: Iterable[Wished]) -> None:
        """Take note of those of these records whose marks must be written; asks nobody."""
        found = {record.session_id for record in records if needs_marking(record)}
        if found - self._waiting:
            self.wake.set()
        self._waiting |= found

    async def cycle(self) -> None:
        """Write the marks that must be written. Ends soon after `stop`.

        Raises:
            BlazzError: the first thing that went wrong; what was not done is done by a later call.
        """
        if not self._leadership.leading:
            # Another one writes them now: what this process knows is no longer true when it leads again.
            self._waiting.clear()
            self._settled.clear()
        elif not self._stop.is_set():
            # A store that hangs must not keep the process; every step is safe to repeat.
            await first_done(self._write(), self._stopped())

    async def _stopped(self) -> None:
        await self._stop.wait()

    async def _write(self) -> None:
        failed: list[BlazzError] = []
        for batch in _batches(sorted(self._waiting)):
            # As they are now: a wish may have changed since it was seen.
            records = await self._registry.records.get_many(batch)
            self._waiting.difference_update(batch)
            failed += await _each([partial(self._mark_record, record) for record in records if needs_marking(record)])
        graves = set(await self._registry.tombstones.all())
        self._settled &= graves
        for some in _batches(sorted(graves - self._settled, key=lambda grave: grave.session_id)):
            alive = await self._registry.records.get_many([grave.session_id for grave in some])
            owners = {(record.workspace_id, record.session_id) for record in alive}
            failed += await _each([partial(self._mark_grave, grave, owners) for grave in some])
        if failed:
            raise failed[0]

    async def _mark_record(self, record: SessionRecord) -> None:
        if not self._may_go_on():
            return
        self._waiting.add(record.session_id)
        wish = wish_of(record)
        if wish == _NO_MARK:
            await self._archives.drop_mark(record.workspace_id, record.session_id)
        else:
            mark = Mark(desired=record.desired, void_token=_void_token(record), at=utc_now())
            await self._archives.put_mark(record.workspace_id, record.session_id, mark)
        with contextlib.suppress(SessionNotFoundError):
            # After the mark: a death in between writes it once more.
            await self._registry.records.write_wish(record.session_id, {"marked": None if wish == _NO_MARK else wish})
        self._waiting.discard(record.session_id)
        log.info("mark written", session_id=record.session_id, mark=wish)

    async def _mark_grave(self, grave: Tombstone, owners: set[tuple[str, str]]) -> None:
        # Where a record of this session lives on (it was logged out, or made again), its wish has the void token.
        if (grave.workspace_id, grave.session_id) not in owners:
            if not self._may_go_on():
                return
            mark = Mark(desired=Desired.DELETED, void_token=grave.void_token, at=grave.at)
            if await self._said(grave) != mark.text:
                await self._archives.put_mark(grave.workspace_id, grave.session_id, mark)
                log.info("mark written", session_id=grave.session_id, mark=mark.text)
        self._settled.add(grave)

    async def _said(self, grave: Tombstone) -> str | None:
        """Return what the session's mark says: reading is cheaper than writing, and mostly it is right already."""
        try:
            mark = await self._archives.get_mark(grave.workspace_id, grave.session_id)
        except DamagedError:
            return None
        return mark.text if mark else None

    def _may_go_on(self) -> bool:
        return self._leadership.leading and not self._stop.is_set()


def _batches(items: Sequence[_T]) -> Iterator[Sequence[_T]]:
    for start in range(0, len(items), _BATCH):
        yield items[start : start + _BATCH]


async def _each(steps: Sequence[Callable[[], Awaitable[None]]]) -> list[BlazzError]:
    """Do all steps, some at once; gives what went wrong."""
    places = asyncio.Semaphore(_PARALLEL)
    failed: list[BlazzError] = []

    async def one(step: Callable[[], Awaitable[None]]) -> None:
        async with places:
            try:
                await step()
            except BlazzError as error:
                failed.append(error)

    async with asyncio.TaskGroup() as tasks:
        for step in steps:
            tasks.create_task(one(step))
    return failed
