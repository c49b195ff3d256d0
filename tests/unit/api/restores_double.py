"""Restore jobs in memory, for what the HTTP side itself decides."""

from collections.abc import Sequence
from datetime import UTC, datetime

from daemon.core.errors import JobNotFoundError
from daemon.registry.jobs import JobPage
from daemon.sessions.jobs import AskedSession, JobSource, RestoreJob

NOW = datetime(2026, 1, 31, 12, 0, 0, tzinfo=UTC)


class RestoresDouble:
    """Keeps what was asked for."""

    def __init__(self) -> None:
        self.jobs: list[RestoreJob] = []
        self.asked: list[AskedSession] = []

    async def begin(self, source: JobSource, asked: Sequence[AskedSession] = ()) -> RestoreJob:
        """Keep a job."""
        self.asked += asked
        self.jobs.append(RestoreJob(job_id=f"job_{len(self.jobs)}", source=source, created_at=NOW))
        return self.jobs[-1]

    async def get(self, job_id: str) -> RestoreJob:
        """Return a kept job."""
        for job in self.jobs:
            if job.job_id == job_id:
                return job
        raise JobNotFoundError("no such job", job=job_id)

    async def list(self, *, cursor: str | None, limit: int) -> JobPage:
        """Return a page, newest first; a cursor is the id of the last job on the page before."""
        left = self.jobs[::-1]
        if cursor is not None:
            left = left[[job.job_id for job in left].index(cursor) + 1 :]
        return JobPage(jobs=left[:limit], next_cursor=left[limit - 1].job_id if len(left) > limit else None)
