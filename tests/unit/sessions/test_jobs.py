"""How far a restore job is."""

from datetime import timedelta

from daemon.core.clock import utc_now
from daemon.sessions.jobs import GIVE_UP_AFTER, JobSource, JobState, RestoreJob, progressed
from daemon.sessions.states import SessionState as S

NOW = utc_now()
JOB = RestoreJob(
    job_id="j",
    source=JobSource.SESSIONS,
    created_at=NOW,
    began_at=NOW,
    state=JobState.RUNNING,
    total=8,
    at_begin=1,
)


def test_every_session_counts_once() -> None:
    job = progressed(JOB, [*S, None], NOW)
    counts = (job.connected, job.waiting, job.failed, job.needs_scan, job.ended)
    assert sum(counts) == len(S) + 1
    assert counts == (1, 4, 1, 4, 2)


def test_it_is_done_when_nothing_waits() -> None:
    job = progressed(JOB, [S.CONNECTED] * 6 + [S.DISCONNECTED, None], NOW)
    assert (job.state, job.finished_at, job.eta_s) == (JobState.DONE, NOW, 0.0)


def test_it_gives_up_what_waits_for_too_long_and_says_how_many() -> None:
    waits = [S.CONNECTED] * 5 + [S.PENDING] * 3
    before, after = (progressed(JOB, waits, NOW + GIVE_UP_AFTER + timedelta(seconds=by)) for by in (-1, 0))
    assert (before.state, before.gave_up) == (JobState.RUNNING, False)
    assert (after.state, after.gave_up, after.waiting, after.eta_s) == (JobState.DONE, True, 3, None)
    assert not progressed(JOB, [S.CONNECTED] * 8, NOW + 2 * GIVE_UP_AFTER).gave_up


def test_the_time_left_comes_from_the_rate_so_far() -> None:
    later = NOW + timedelta(seconds=10)
    assert progressed(JOB, [S.CONNECTED] * 3 + [S.STARTING] * 5, later).eta_s is None
    assert progressed(JOB, [S.CONNECTED] * 5 + [S.STARTING] * 3, later).eta_s == 7.5
