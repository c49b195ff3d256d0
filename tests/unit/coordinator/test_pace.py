"""How often a restore job is looked at and told of."""

from dataclasses import replace

from daemon.coordinator.pace import REST_MAX_S, TELL_EVERY_S, Pace
from daemon.core.clock import utc_now
from daemon.sessions.jobs import JobSource, JobState, RestoreJob

JOB = RestoreJob(job_id="j", source=JobSource.REGISTRY, created_at=utc_now(), state=JobState.RUNNING, total=9)


def looks(pace: Pace, job: RestoreJob, begin_s: int, end_s: int) -> int:
    """Look once a second, and return how often it was the job's turn."""
    count = 0
    for now_s in range(begin_s, end_s):
        if not pace.resting(now_s):
            pace.saw(job, now_s)
            count += 1
    return count


def test_a_job_rests_ever_longer_while_nothing_changes_and_never_too_long() -> None:
    pace = Pace()
    assert looks(pace, JOB, 0, 10) == 10
    assert looks(pace, JOB, 10, 600) < 60
    day = looks(pace, JOB, 600, 86_400)
    assert 0.9 < day / (85_800 / REST_MAX_S) <= 1.1


def test_a_change_has_it_looked_at_in_each_cycle_again() -> None:
    pace = Pace()
    looks(pace, JOB, 0, 3600)
    moved = replace(JOB, connected=1)
    looks(pace, moved, 3600, 3600 + int(REST_MAX_S) + 1)
    assert looks(pace, replace(JOB, connected=2), 3700, 3710) == 10


def test_one_cycle_reads_no_more_than_one_large_job_and_all_get_their_turn() -> None:
    pace = Pace()
    jobs = [replace(JOB, job_id=f"{number}", total=10_000) for number in range(5)]
    turns: list[str] = []
    for now_s in range(10):
        for job in pace.turn(jobs):
            turns.append(job.job_id)
            pace.saw(job, now_s)
    assert turns == ["0", "1", "2", "3", "4"] * 2
    small = [replace(job, total=50) for job in jobs]
    assert len(Pace().turn(small)) == 5


def test_only_a_change_is_told_and_not_too_often() -> None:
    pace = Pace()
    told = []
    for now_s in range(100):
        job = replace(JOB, connected=min(now_s, 12))
        pace.saw(job, now_s)
        if pace.may_tell(job, now_s):
            pace.told(job, now_s)
            told.append(now_s)
    assert told == [0, 5, 10, 15]
    assert TELL_EVERY_S == 5
