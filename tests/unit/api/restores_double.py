"""Restore jobs in memory, for what the HTTP side itself decides."""

from collections.abc import Sequence
from datetime import UTC, datetime

from daemon.core.errors import JobNotFoundError
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

    async def recent(self) -> Sequence[RestoreJob]:
        """Return all, newest first."""
        return self.jobs[::-1]
