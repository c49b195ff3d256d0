"""Restore jobs are worked to their end by the leader, however many are asked for and whatever fails beside them."""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from daemon.coordinator.jobs import RestoreDesk, RestoreWork
from daemon.coordinator.leader import Leadership
from daemon.coordinator.lost import LostSessions
from daemon.core.clock import utc_now
from daemon.platform.errors import PlatformUnavailableError
from daemon.registry.registry import Registry
from daemon.sessions.events import EventKind
from daemon.sessions.jobs import AskedSession, JobSource, JobState, RestoreJob
from daemon.sessions.record import SessionRecord
from daemon.sessions.states import Desired
from tests.integration.coordinator.conftest import settings_for


class _PlatformThatIsAway:
    async def connected_sessions(self) -> list[Any]:
        raise PlatformUnavailableError("the database does not answer")


class House:
    """A desk that takes jobs, and the leader that works them."""

    def __init__(self, registry: Registry, leadership: Leadership) -> None:
        self.registry = registry
        self.desk = RestoreDesk(registry, has_platform=True)
        self._leadership = leadership
        self.restart()

    def restart(self) -> None:
        """Have another coordinator lead."""
        platform: Any = _PlatformThatIsAway()
        archives: Any = None  # not asked for a session without a workspace
        lost = LostSessions(self.registry, archives, legacy_prefix="")
        self.work = RestoreWork(self.registry, lost, platform, self._leadership)

    async def session(self, session_id: str) -> None:
        """Make a session that waits for a shard."""
        now = utc_now()
        record = SessionRecord(session_id=session_id, workspace_id="1", user_id="u", created_at=now, status_at=now)
        assert await self.registry.records.create(record)

    async def ask(self, session_id: str = "nobody") -> RestoreJob:
        """Ask for a job of one session."""
        return await self.desk.begin(JobSource.SESSIONS, [AskedSession(session_id=session_id)])

    async def state(self, job: RestoreJob) -> JobState:
        """Return where a job is."""
        return (await self.desk.get(job.job_id)).state

    async def ended(self) -> list[str]:
        """The jobs whose end was told, in that order."""
        logged, _ = await self.registry.event_log.after("0", count=10_000)
        ends = [one.event for one in logged if one.event.kind is EventKind.RESTORE_COMPLETED]
        assert all(event.event_id == f"evt_{event.data['job_id']}" for event in ends)
        return [event.data["job_id"] for event in ends]


@pytest.fixture
async def house(redis_url: str) -> AsyncIterator[House]:
    """An empty Redis, and a coordinator that leads."""
    registry = Registry(settings_for(redis_url))
    await registry.link.text.flushdb()
    leadership = Leadership(registry, "coordinator-of-tests", ttl_ms=600_000)
    assert await leadership.keep()
    try:
        yield House(registry, leadership)
    finally:
        await registry.close()


async def test_every_job_that_was_taken_is_worked_and_its_end_told(house: House) -> None:
    jobs = [await house.ask() for _ in range(120)]
    await house.work.cycle()
    assert {await house.state(job) for job in jobs} == {JobState.DONE}
    assert sorted(await house.ended()) == sorted(job.job_id for job in jobs)


async def test_a_running_job_ends_however_many_came_after_it(house: House) -> None:
    await house.session("slow")
    running = await house.ask("slow")
    await house.work.cycle()
    assert await house.state(running) is JobState.RUNNING
    for _ in range(120):
        await house.ask()
    await house.work.cycle()
    assert running.job_id not in await house.ended()
    await house.registry.records.write_wish("slow", {"desired": Desired.STOPPED})
    await house.work.cycle()
    assert await house.state(running) is JobState.DONE
    assert (await house.ended())[-1] == running.job_id


async def test_the_end_is_told_by_the_next_leader_when_one_died_before_it(house: House) -> None:
    job = await house.ask()
    await house.registry.jobs.save(replace(job, state=JobState.DONE, finished_at=utc_now()), members=[])
    house.restart()
    for _ in range(3):
        await house.work.cycle()
    assert await house.ended() == [job.job_id]


async def test_a_job_that_fails_does_not_hold_up_the_others(house: House) -> None:
    stuck = await house.desk.begin(JobSource.PLATFORM)
    other = await house.ask()
    for _ in range(2):
        with pytest.raises(PlatformUnavailableError):
            await house.work.cycle()
    assert (await house.state(stuck), await house.state(other)) == (JobState.WAITING, JobState.DONE)
