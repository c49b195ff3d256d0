"""Restore jobs in Redis: asked for at any coordinator, worked by the leader, kept for a week."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from daemon.core.clock import iso, parse_iso
from daemon.core.errors import JobNotFoundError
from daemon.registry import keys
from daemon.registry.link import RedisLink
from daemon.sessions.jobs import AskedSession, JobSource, JobState, RestoreJob

_KEPT_MS = 7 * 86400 * 1000
_LISTED = 100
_TIMES = ("created_at", "began_at", "finished_at")


class Jobs:
    """Restore jobs."""

    def __init__(self, link: RedisLink) -> None:
        self._link = link

    async def create(self, job: RestoreJob, asked: Sequence[AskedSession]) -> None:
        """Store a new job, with the sessions that were named."""
        async with self._link.asking("store a job"):
            pipe = self._link.text.pipeline(transaction=True)
            pipe.set(keys.job_asked(job.job_id), json.dumps([asdict(item) for item in asked]), px=_KEPT_MS)
            pipe.set(keys.job(job.job_id), _to_text(job), px=_KEPT_MS)
            await pipe.execute()
            # Last: what is listed is whole.
            await self._link.text.zadd(keys.JOBS, {job.job_id: int(job.created_at.timestamp() * 1000)})
            await self._link.text.zremrangebyrank(keys.JOBS, 0, -_LISTED - 1)

    async def get(self, job_id: str) -> RestoreJob:
        """Return one job.

        Raises:
            JobNotFoundError: there is none, or it is older than a week.
        """
        async with self._link.asking("read a job"):
            body = await self._link.text.get(keys.job(job_id))
        if body is None:
            raise JobNotFoundError("no such job", job=job_id)
        return _from_text(body)

    async def recent(self) -> list[RestoreJob]:
        """Return the last jobs, newest first."""
        async with self._link.asking("list jobs"):
            ids = await self._link.text.zrange(keys.JOBS, 0, _LISTED - 1, desc=True)
            pipe = self._link.text.pipeline(transaction=False)
            for job_id in ids:
                pipe.get(keys.job(job_id))
            bodies = await pipe.execute() if ids else []
        return [_from_text(body) for body in bodies if body]

    async def asked(self, job_id: str) -> list[AskedSession]:
        """Return the sessions that were named when the job was asked for."""
        async with self._link.asking("read a job"):
            body = await self._link.text.get(keys.job_asked(job_id))
        return [AskedSession(**item) for item in json.loads(body or "[]")]

    async def save(self, job: RestoreJob, *, members: Sequence[str] | None = None) -> None:
        """Store how far a job is; `members` are its sessions, once they are known."""
        async with self._link.asking("store a job"):
            pipe = self._link.text.pipeline(transaction=True)
            if members is not None:
                pipe.set(keys.job_members(job.job_id), json.dumps(list(members)), px=_KEPT_MS)
            pipe.set(keys.job(job.job_id), _to_text(job), px=_KEPT_MS)
            await pipe.execute()

    async def members(self, job_id: str) -> list[str]:
        """Return the ids of a job's sessions."""
        async with self._link.asking("read a job"):
            body = await self._link.text.get(keys.job_members(job_id))
        return list(json.loads(body or "[]"))


def _to_text(job: RestoreJob) -> str:
    times = {name: iso(value) if (value := getattr(job, name)) else None for name in _TIMES}
    return json.dumps(asdict(job) | times, separators=(",", ":"))


def _from_text(body: str) -> RestoreJob:
    raw: dict[str, Any] = json.loads(body)
    times = {name: parse_iso(raw[name]) if raw[name] else None for name in _TIMES}
    made = raw | times | {"source": JobSource(raw["source"]), "state": JobState(raw["state"])}
    return RestoreJob(**(made | {"unknown": tuple(raw["unknown"])}))
