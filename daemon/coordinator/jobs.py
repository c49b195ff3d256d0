"""Restore jobs: asked for at any coordinator (`RestoreDesk`), worked by the leader (`RestoreWork`).

A job writes what is wanted and then only watches: sessions are placed, admitted and started as always, and a
coordinator that dies half-way only delays.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import structlog

from daemon.coordinator.leader import Leadership
from daemon.coordinator.lost import LostSessions, Tally
from daemon.coordinator.pace import Pace
from daemon.core.clock import mono_s, utc_now
from daemon.core.errors import (
    BlazzError,
    FatalError,
    InvalidInputError,
    RedisUnavailableError,
    SessionNotFoundError,
    UnavailableError,
)
from daemon.core.ids import new_id
from daemon.platform.database import PlatformDatabase
from daemon.platform.errors import PlatformNotSetError
from daemon.registry.jobs import JobPage
from daemon.registry.registry import Registry
from daemon.sessions.events import Event, EventKind
from daemon.sessions.jobs import AskedSession, JobSource, JobState, RestoreJob, given_up, progressed
from daemon.sessions.states import AT_REST, Desired, SessionState
from daemon.sessions.summary import Summary

log = structlog.get_logger()

_PAGE = 500
_PARALLEL = 16
_UNKNOWN_SHOWN = 100
_GONE = frozenset({SessionState.STOPPED, SessionState.FAILED, SessionState.DISCONNECTED, SessionState.CONFLICT})


class RestoreDesk:
    """Takes jobs and tells how far they are; needs nothing but Redis."""

    def __init__(self, registry: Registry, *, has_platform: bool) -> None:
        self._registry = registry
        self._has_platform = has_platform

    async def begin(self, source: JobSource, asked: Sequence[AskedSession] = ()) -> RestoreJob:
        """Ask for a job.

        Raises:
            InvalidInputError: the platform's database is asked for, and none is set.
            TooManyJobsError: as many are unfinished as may.
        """
        if source is JobSource.PLATFORM and not self._has_platform:
            raise InvalidInputError(
                "no platform database is set",
                hint="set SESSIONS_DATABASE_URL, or choose another source",
                field="source",
            )
        job = RestoreJob(job_id=new_id("job"), source=source, created_at=utc_now())
        await self._registry.jobs.create(job, asked)
        await self._registry.wakes.wake("job")
        return job

    async def get(self, job_id: str) -> RestoreJob:
        """Return one job.

        Raises:
            JobNotFoundError: there is none.
        """
        return await self._registry.jobs.get(job_id)

    async def list(self, *, cursor: str | None, limit: int) -> JobPage:
        """Return up to `limit` jobs behind `cursor`, newest first."""
        return await self._registry.jobs.page(cursor, limit)


class RestoreWork:
    """Works jobs, if this coordinator leads."""

    def __init__(
        self, registry: Registry, lost: LostSessions, platform: PlatformDatabase | None, leadership: Leadership
    ) -> None:
        self._registry = registry
        self._lost = lost
        self._platform = platform
        self._leadership = leadership
        self._pace = Pace()

    async def cycle(self) -> None:
        """Take up what waits and look how far the others are.

        Raises:
            RedisUnavailableError: the next call goes on.
        """
        if not self._leadership.leading:
            self._pace = Pace()
            return
        resting = self._pace.resting(mono_s())
        jobs = await self._registry.jobs.unfinished(but=resting)
        self._pace.keep_only(resting.union(job.job_id for job in jobs))
        for job in self._pace.turn(jobs):
            await self._work(job)

    async def _work(self, job: RestoreJob) -> None:
        if job.state is JobState.WAITING:
            await self._take_up(job)
        elif job.state is JobState.RUNNING:
            await self._look(job, await self._registry.jobs.members(job.job_id))
        else:  # a coordinator died before it told the end
            await self._tell(job)

    async def _take_up(self, job: RestoreJob) -> None:
        try:
            members, unknown = await self._members(job)
        except RedisUnavailableError:
            raise
        except BlazzError as error:
            await self._hold_up(job, error)
            return
        slots = asyncio.Semaphore(_PARALLEL)

        async def want(session_id: str) -> None:
            async with slots:
                await self._want(session_id)

        await asyncio.gather(*(want(session_id) for session_id in members))
        began = replace(
            job,
            state=JobState.RUNNING,
            began_at=utc_now(),
            total=len(members),
            unknown=tuple(unknown[:_UNKNOWN_SHOWN]),
            unknown_count=len(unknown),
            reason=None,
        )
        statuses = await self._statuses(members)
        seen = progressed(began, statuses, utc_now())
        began = replace(began, at_begin=seen.settled)
        await self._registry.jobs.save(began, members=members)
        log.info("restore job begun", job=job.job_id, source=job.source, sessions=len(members), unknown=len(unknown))
        await self._look(began, members)

    async def _hold_up(self, job: RestoreJob, error: BlazzError) -> None:
        """Say in a job why it is not taken up; it is done when it never can be, or has tried for too long."""
        held, now = replace(job, reason=error.code), utc_now()
        if isinstance(error, PlatformNotSetError) or job.is_overdue(now):
            left = len({item.session_id for item in await self._registry.jobs.asked(job.job_id)})
            held = given_up(replace(held, total=left, waiting=left), now)
        if held != job:
            log.warning("restore job cannot be taken up", job=job.job_id, code=error.code, error=str(error))
        await self._saw(job, held)

    async def _members(self, job: RestoreJob) -> tuple[list[str], list[str]]:
        """Return the ids of the job's sessions, all of them in Redis now, and those that nobody knows."""
        if job.source is JobSource.SESSIONS:
            return await self._named(await self._registry.jobs.asked(job.job_id))
        if job.source is JobSource.BUCKET:
            return (await self._lost.begin_all(None)).begun, []
        if job.source is JobSource.PLATFORM:
            if self._platform is None:  # the desk that took the job had one
                raise PlatformNotSetError("no platform database is set", hint="set SESSIONS_DATABASE_URL")
            listed = await self._platform.connected_sessions()
            await self._lost.begin_listed(listed, Tally())
            return [known.session_id for known in listed], []
        found = await self._registry.records.summaries()
        return [one.session_id for one in found if one.desired is Desired.RUNNING], []

    async def _named(self, asked: Sequence[AskedSession]) -> tuple[list[str], list[str]]:
        tally = Tally()
        present = await self._present([item.session_id for item in asked])
        for item in asked:
            if item.session_id not in present:
                await self._begin_named(item, tally)
        present = await self._present([item.session_id for item in asked])
        ids = list(dict.fromkeys(item.session_id for item in asked))
        return [i for i in ids if i in present], [i for i in ids if i not in present]

    async def _begin_named(self, item: AskedSession, tally: Tally) -> None:
        """Begin one session if its source lets us; whatever is wrong with it alone does not hold up the others."""
        try:
            await self._lost.begin_named(item, tally)
        except (UnavailableError, FatalError):  # nobody's answer, or no session's fault
            raise
        except BlazzError as error:
            log.warning("a named session cannot be begun", session_id=item.session_id, code=error.code)

    async def _present(self, ids: Sequence[str]) -> set[str]:
        return {one.session_id for one in await self._summaries(ids) if one.desired is not Desired.DELETED}

    async def _want(self, session_id: str) -> None:
        """Have a session run; one that needs a scan tries its copies once more, and shows no code by itself."""
        try:
            found = await self._registry.records.summaries_of([session_id])
            if not found or found[0].desired is Desired.DELETED or not _needs_start(found[0]):
                return
            await self._registry.records.write_wish(session_id, {"desired": Desired.RUNNING}, new_serial=True)
            if found[0].status in AT_REST:
                pending = {"status": SessionState.PENDING, "status_at": utc_now(), "reason": None, "retry_at": None}
                await self._registry.records.write_at_rest(session_id, pending)
            await self._registry.wakes.wake("wish", session_id)
        except SessionNotFoundError:
            return

    async def _look(self, job: RestoreJob, members: Sequence[str]) -> None:
        seen = progressed(job, await self._statuses(members), utc_now())
        await self._saw(job, seen)

    async def _saw(self, job: RestoreJob, seen: RestoreJob) -> None:
        if seen != job:
            await self._registry.jobs.save(seen)
        self._pace.saw(seen, mono_s())
        if seen.state is not JobState.WAITING:
            await self._tell(seen)

    async def _statuses(self, members: Sequence[str]) -> list[SessionState | None]:
        found = {one.session_id: one for one in await self._summaries(members)}
        return [_status(found.get(session_id)) for session_id in members]

    async def _summaries(self, ids: Sequence[str]) -> list[Summary]:
        found: list[Summary] = []
        for start in range(0, len(ids), _PAGE):
            found += await self._registry.records.summaries_of(ids[start : start + _PAGE])
        return found

    async def _tell(self, job: RestoreJob) -> None:
        done = job.state is JobState.DONE
        if not done and not self._pace.may_tell(job, mono_s()):
            return
        kind = EventKind.RESTORE_COMPLETED if done else EventKind.RESTORE_PROGRESS
        await self._registry.events.publish(
            Event(
                event_id=f"evt_{job.job_id}" if done else new_id("evt"),
                kind=kind,
                session_id="",
                workspace_id="",
                user_id="",
                at=utc_now(),
                data=_told(job),
            )
        )
        if not done:
            self._pace.told(job, mono_s())
        else:
            # After it is told: whoever dies in between tells it again, under the same id.
            await self._registry.jobs.finish(job.job_id)
            (log.warning if job.gave_up else log.info)("restore job done", job=job.job_id, **_told(job))


def _told(job: RestoreJob) -> dict[str, object]:
    names = ("total", "connected", "waiting", "failed", "needs_scan", "ended", "eta_s", "gave_up", "reason")
    return {"job_id": job.job_id} | {name: getattr(job, name) for name in names}


def _needs_start(found: Summary) -> bool:
    return found.desired is not Desired.RUNNING or found.status in _GONE


def _status(found: Summary | None) -> SessionState | None:
    if found is None or found.desired is not Desired.RUNNING:
        return None
    return found.status
