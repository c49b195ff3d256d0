"""How often a restore job is looked at and told of. Pure; every leader begins anew.

A job that has just changed is looked at in each cycle, one that nothing happens to ever less often.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from daemon.sessions.jobs import RestoreJob

TELL_EVERY_S = 5.0
REST_MAX_S = 30.0
_REST_MIN_S = 1.0
"""The leader's cycle is no shorter."""
_REST = 0.1
"""As part of the time in which nothing changed: so much later than it could a change is seen."""
_READ_AT_ONCE = 10_000


@dataclass(kw_only=True)
class _Watched:
    seen: tuple[int, ...]
    changed_s: float
    due_s: float
    told: tuple[int, ...] | None = None
    told_s: float = 0.0


class Pace:
    """When each job is looked at and told of; `now_s` are monotonic seconds."""

    def __init__(self) -> None:
        self._watched: dict[str, _Watched] = {}

    def resting(self, now_s: float) -> set[str]:
        """Return the ids of the jobs that are not to be looked at yet."""
        return {job_id for job_id, one in self._watched.items() if one.due_s > now_s}

    def turn(self, jobs: Iterable[RestoreJob]) -> list[RestoreJob]:
        """Return the jobs that one cycle looks at, of those that are due: what it reads in Redis is bounded."""
        taken: list[RestoreJob] = []
        room = _READ_AT_ONCE
        for job in sorted(jobs, key=self._due_s):
            if taken and job.total > room:
                break  # later ones wait, too: else a large job would never get its turn
            taken.append(job)
            room -= job.total
        return taken

    def _due_s(self, job: RestoreJob) -> float:
        one = self._watched.get(job.job_id)
        return one.due_s if one else float("-inf")

    def saw(self, job: RestoreJob, now_s: float) -> None:
        """Note what a look found."""
        one = self._watched.setdefault(job.job_id, _Watched(seen=job.counts, changed_s=now_s, due_s=now_s))
        if one.seen != job.counts:
            one.seen, one.changed_s = job.counts, now_s
        rest_s = min(REST_MAX_S, _REST * (now_s - one.changed_s))
        one.due_s = now_s + (rest_s if rest_s >= _REST_MIN_S else 0.0)

    def may_tell(self, job: RestoreJob, now_s: float) -> bool:
        """Say whether there is something to tell, and the last time is long enough ago. Looked at before."""
        one = self._watched[job.job_id]
        return one.told is None or (one.told != job.counts and now_s - one.told_s >= TELL_EVERY_S)

    def told(self, job: RestoreJob, now_s: float) -> None:
        """Note what was told."""
        one = self._watched[job.job_id]
        one.told, one.told_s = job.counts, now_s

    def keep_only(self, job_ids: Iterable[str]) -> None:
        """Forget all other jobs."""
        kept = set(job_ids)
        self._watched = {job_id: one for job_id, one in self._watched.items() if job_id in kept}
