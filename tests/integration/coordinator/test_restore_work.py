"""Restore jobs are worked to their end by the leader, however many are asked for and whatever fails beside them."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from daemon.coordinator.jobs import RestoreDesk, RestoreWork
from daemon.coordinator.leader import Leadership
from daemon.coordinator.lost import LostSessions
from daemon.core.clock import mono_s, utc_now
from daemon.core.errors import DamagedError, ObjectStoreUnavailableError
from daemon.platform.errors import PlatformUnavailableError
from daemon.registry import keys
from daemon.registry.registry import Registry
from daemon.sessions.events import EventKind
from daemon.sessions.jobs import GIVE_UP_AFTER, AskedSession, JobSource, JobState, RestoreJob
from daemon.sessions.record import SessionRecord
from daemon.sessions.states import Desired
from tests.integration.coordinator.conftest import settings_for


class _PlatformThatIsAway:
    async def connected_sessions(self) -> list[Any]:
        raise PlatformUnavailableError("the database does not answer")


_PLATFORM = _PlatformThatIsAway()


class _ArchivesOfWhich:
    """One session's cannot be read, and for another one the store does not answer."""

    async def newest_first(self, _workspace_id: str, session_id: str) -> Sequence[Any]:
        if session_id == "damaged":
            raise DamagedError("a session's mark cannot be read")
        if session_id == "away":
            raise ObjectStoreUnavailableError("the store does not answer")
        return (SimpleNamespace(key="k", order=(1, 1)),) if session_id == "undated" else ()

    async def facts(self, _key: str) -> Any:
        return SimpleNamespace(metadata={"user-id": "u", "backed-up-at": "some day"}, stored_at=utc_now())

    async def get_mark(self, _workspace_id: str, _session_id: str) -> None:
        return None


class House:
    """A desk that takes jobs, and the leader that works them."""

    def __init__(self, registry: Registry, leadership: Leadership) -> None:
        self.registry = registry
        self.desk = RestoreDesk(registry, has_platform=True)
        self._leadership = leadership
        self.restart()

    def restart(self, *, platform: Any = _PLATFORM) -> None:
        """Have another coordinator lead."""
        archives: Any = _ArchivesOfWhich()
        lost = LostSessions(self.registry, archives, legacy_prefix="")
        self.work = RestoreWork(self.registry, lost, platform, self._leadership)

    async def session(self, session_id: str) -> None:
        """Make a session that waits for a shard."""
        now = utc_now()
        record = SessionRecord(session_id=session_id, workspace_id="1", user_id="u", created_at=now, status_at=now)
        assert await self.registry.records.create(record)

    async def ask(self, *session_ids: str) -> RestoreJob:
        """Ask for a job of some sessions, or of one that nobody knows."""
        asked = [AskedSession(session_id=i, workspace_id="1") for i in session_ids or ("nobody",)]
        return await self.desk.begin(JobSource.SESSIONS, asked)

    async def age(self, job: RestoreJob) -> None:
        """Have a job asked for as long ago as one may last."""
        job = await self.desk.get(job.job_id)
        await self.registry.jobs.save(replace(job, created_at=utc_now() - GIVE_UP_AFTER))

    async def state(self, job: RestoreJob) -> JobState:
        """Return where a job is."""
        return (await self.desk.get(job.job_id)).state

    async def told(self, kind: EventKind) -> list[dict[str, Any]]:
        """What events of one kind said."""
        logged, _ = await self.registry.event_log.after("0", count=10_000)
        return [dict(one.event.data) for one in logged if one.event.kind is kind]

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
        await house.work.cycle()
    assert (await house.state(stuck), await house.state(other)) == (JobState.WAITING, JobState.DONE)
    assert (await house.desk.get(stuck.job_id)).reason == "platform_unavailable"


async def test_a_job_of_a_platform_that_is_not_set_any_more_ends_and_says_why(house: House) -> None:
    job, other = await house.desk.begin(JobSource.PLATFORM), await house.ask()
    house.restart(platform=None)
    await house.work.cycle()
    assert await house.state(other) is JobState.DONE
    seen = await house.desk.get(job.job_id)
    assert (seen.state, seen.gave_up, seen.reason) == (JobState.DONE, True, "platform_not_set")
    told = await house.told(EventKind.RESTORE_COMPLETED)
    assert [one["reason"] for one in told if one["job_id"] == job.job_id] == ["platform_not_set"]
    assert await house.registry.jobs.unfinished() == []


async def test_a_named_session_that_cannot_be_read_does_not_hold_up_the_others(house: House) -> None:
    for session_id in ("good", "unreadable"):
        await house.session(session_id)
    await house.registry.link.text.hset(keys.record("unreadable"), "serial", "much")
    job = await house.ask("good", "damaged", "unreadable")
    await house.work.cycle()
    seen = await house.desk.get(job.job_id)
    assert (seen.state, seen.total, seen.unknown) == (JobState.RUNNING, 1, ("damaged", "unreadable"))


async def test_a_named_session_whose_archive_has_no_readable_date_is_begun(house: House) -> None:
    job = await house.ask("undated")
    await house.work.cycle()
    assert (await house.desk.get(job.job_id)).total == 1
    assert (await house.registry.records.get("undated")).desired is Desired.RUNNING


async def test_a_record_that_cannot_be_read_does_not_hold_up_the_jobs_it_is_in(house: House) -> None:
    for session_id in ("good", "bad"):
        await house.session(session_id)
    job = await house.ask("good", "bad")
    await house.work.cycle()
    await house.registry.link.text.hset(keys.record("bad"), "serial", "much")
    await house.work.cycle()
    every = await house.desk.begin(JobSource.REGISTRY)
    await house.work.cycle()
    seen = [await house.desk.get(one.job_id) for one in (job, every)]
    assert [(one.total, one.waiting, one.ended) for one in seen] == [(2, 1, 1), (1, 1, 0)]


async def test_a_source_that_is_away_is_asked_again_but_not_for_ever(house: House) -> None:
    job = await house.ask("away", "other")
    await house.work.cycle()
    waits = await house.desk.get(job.job_id)
    assert (waits.state, waits.reason, waits.gave_up) == (JobState.WAITING, "object_store_unavailable", False)
    await house.age(job)
    await house.work.cycle()
    seen = await house.desk.get(job.job_id)
    assert (seen.state, seen.gave_up, seen.total, seen.waiting) == (JobState.DONE, True, 2, 2)
    assert seen.reason == "object_store_unavailable"
    assert await house.ended() == [job.job_id]
    for name in (keys.job_asked(job.job_id), keys.job_members(job.job_id)):
        assert not await house.registry.link.text.exists(name)


async def test_a_job_whose_sessions_find_no_place_ends_after_a_day(house: House) -> None:
    await house.session("slow")
    job = await house.ask("slow")
    await house.work.cycle()
    await house.age(job)
    await house.work.cycle()
    told = await house.told(EventKind.RESTORE_COMPLETED)
    assert [(one["job_id"], one["waiting"], one["gave_up"]) for one in told] == [(job.job_id, 1, True)]
    assert (await house.registry.records.get("slow")).desired is Desired.RUNNING
    assert await house.registry.jobs.unfinished() == []


async def test_a_job_that_was_never_looked_at_for_a_day_is_worked_once(house: House) -> None:
    await house.session("slow")
    await house.registry.records.write_wish("slow", {"desired": Desired.STOPPED})
    await house.age(job := await house.ask("slow"))
    await house.work.cycle()
    assert (await house.registry.records.get("slow")).desired is Desired.RUNNING
    assert await house.state(job) is JobState.DONE


async def test_a_job_that_nothing_happens_to_is_read_and_told_less_often(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    await house.session("slow")
    await house.ask("slow")
    passed_s = 0.0
    monkeypatch.setattr("daemon.coordinator.jobs.mono_s", lambda: mono_s() + passed_s)
    read = 0
    summaries_of = house.registry.records.summaries_of

    async def counted(session_ids: Any) -> Any:
        nonlocal read
        read += 1
        return await summaries_of(session_ids)

    monkeypatch.setattr(house.registry.records, "summaries_of", counted)
    for _ in range(600):
        await house.work.cycle()
        passed_s += 1.0
    assert read < 70
    assert len(await house.told(EventKind.RESTORE_PROGRESS)) == 1
    await house.registry.records.write_wish("slow", {"desired": Desired.STOPPED})
    for _ in range(31):
        await house.work.cycle()
        passed_s += 1.0
    assert len(await house.ended()) == 1
