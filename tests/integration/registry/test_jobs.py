"""Restore jobs on a real Redis: none is lost before it is done, and all are listed."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from daemon.core.clock import utc_now
from daemon.core.errors import JobNotFoundError, TooManyJobsError
from daemon.core.ids import new_id
from daemon.registry import keys
from daemon.registry.jobs import UNFINISHED_MAX
from daemon.sessions.jobs import AskedSession, JobSource, JobState, RestoreJob
from tests.integration.registry.conftest import Rooms

NOW = datetime(2026, 1, 31, 12, 0, 0, 5000, tzinfo=UTC)


async def ask(rooms: Rooms, at: datetime) -> RestoreJob:
    job = RestoreJob(job_id=new_id("job"), source=JobSource.SESSIONS, created_at=at)
    await rooms.jobs.create(job, [AskedSession(session_id="s")])
    return job


async def end(rooms: Rooms, job: RestoreJob) -> None:
    await rooms.jobs.save(replace(job, state=JobState.DONE, finished_at=utc_now()))
    await rooms.jobs.finish(job.job_id)


async def listed(rooms: Rooms, limit: int) -> list[str]:
    found: list[str] = []
    cursor: str | None = None
    while True:
        page = await rooms.jobs.page(cursor, limit)
        found += [job.job_id for job in page.jobs]
        cursor = page.next_cursor
        if cursor is None:
            return found


async def test_jobs_that_wait_neither_run_out_nor_are_pushed_out(rooms: Rooms) -> None:
    asked = [await ask(rooms, NOW + timedelta(seconds=number)) for number in range(120)]
    assert await rooms.jobs.unfinished() == asked
    assert await listed(rooms, 50) == [job.job_id for job in reversed(asked)]
    first = asked[0].job_id
    names = (keys.job(first), keys.job_asked(first))
    assert [await rooms.link.text.ttl(name) for name in names] == [-1, -1]
    await rooms.jobs.save(replace(asked[0], state=JobState.RUNNING), members=["s"])
    names = (keys.job(first), keys.job_members(first))
    assert [await rooms.link.text.ttl(name) for name in names] == [-1, -1]


async def test_a_job_that_is_done_before_its_request_has_ended_keeps_its_time_limit(
    rooms: Rooms, monkeypatch: pytest.MonkeyPatch
) -> None:
    list_it = rooms.jobs._list

    async def list_and_work(job: RestoreJob) -> None:
        await list_it(job)
        await end(rooms, job)

    monkeypatch.setattr(rooms.jobs, "_list", list_and_work)
    job = await ask(rooms, NOW)
    assert 6 * 86400 < await rooms.link.text.ttl(keys.job(job.job_id)) <= 7 * 86400
    assert not await rooms.link.text.exists(keys.job_asked(job.job_id))


async def test_jobs_of_one_millisecond_are_all_on_some_page_and_none_twice(rooms: Rooms) -> None:
    times = [NOW] * 5 + [NOW + timedelta(seconds=1)] * 5 + [NOW - timedelta(seconds=1)]
    asked = {(await ask(rooms, at)).job_id for at in times}
    for limit in (1, 2, 4, 5, 11, 12):
        found = await listed(rooms, limit)
        assert len(found) == len(asked) and set(found) == asked


async def test_what_is_done_is_kept_for_a_week_and_then_off_the_list(rooms: Rooms) -> None:
    done, slow = await ask(rooms, NOW), await ask(rooms, NOW + timedelta(seconds=1))
    await rooms.jobs.save(replace(done, state=JobState.RUNNING), members=["s"])
    await end(rooms, done)
    kept_s = await rooms.link.text.ttl(keys.job(done.job_id))
    assert 6 * 86400 < kept_s <= 7 * 86400
    assert not await rooms.link.text.exists(keys.job_members(done.job_id))
    assert await listed(rooms, 9) == [slow.job_id, done.job_id]
    await rooms.link.text.delete(keys.job(done.job_id))  # as its TTL does
    with pytest.raises(JobNotFoundError):
        await rooms.jobs.get(done.job_id)
    await end(rooms, await ask(rooms, utc_now()))
    assert await rooms.link.text.zscore(keys.JOBS, done.job_id) is None
    assert await rooms.link.text.zscore(keys.JOBS, slow.job_id) is not None
    assert await rooms.jobs.unfinished() == [slow]


async def test_only_so_many_may_wait_and_done_ones_do_not_count(rooms: Rooms) -> None:
    asked = [await ask(rooms, NOW) for _ in range(UNFINISHED_MAX)]
    with pytest.raises(TooManyJobsError):
        await ask(rooms, NOW)
    await end(rooms, asked[0])
    await ask(rooms, NOW)


async def test_what_a_newer_version_says_of_a_job_is_no_error(rooms: Rooms) -> None:
    job = await ask(rooms, NOW)
    body = json.loads(await rooms.link.text.get(keys.job(job.job_id)))
    await rooms.link.text.set(keys.job(job.job_id), json.dumps(body | {"new": 1}))
    assert await rooms.jobs.unfinished() == [job]


async def test_some_unfinished_jobs_need_not_be_read(rooms: Rooms) -> None:
    rests, other = await ask(rooms, NOW), await ask(rooms, NOW)
    assert await rooms.jobs.unfinished(but={rests.job_id}) == [other]
    assert len(await rooms.jobs.unfinished()) == 2


async def test_a_job_that_redis_lost_is_not_asked_for_for_ever(rooms: Rooms) -> None:
    lost, other = await ask(rooms, NOW), await ask(rooms, NOW)
    await rooms.link.text.delete(keys.job(lost.job_id))
    assert await rooms.jobs.unfinished() == [other]
    assert await rooms.link.text.zrange(keys.JOBS_UNFINISHED, 0, -1) == [other.job_id]
