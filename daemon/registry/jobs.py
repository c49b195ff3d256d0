"""Restore jobs in Redis: asked for at any coordinator, worked by the leader, kept for a week once they are done.

What is not done has no TTL: it neither runs out nor may be evicted.
"""

import json
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from daemon.core.clock import iso, parse_iso, utc_now
from daemon.core.errors import JobNotFoundError, TooManyJobsError
from daemon.registry import keys
from daemon.registry.link import RedisLink
from daemon.sessions.jobs import AskedSession, JobSource, JobState, RestoreJob

UNFINISHED_MAX = 200
"""Each may have a request's 10,000 sessions in Redis, and while it goes on tells of itself every 5 s."""
_KEPT_MS = 7 * 86400 * 1000
_FORGOTTEN_AT_ONCE = 1000
_TIMES = ("created_at", "began_at", "finished_at")


@dataclass(frozen=True, kw_only=True)
class JobPage:
    """Some jobs, newest first. It may be short although more follow: `next_cursor` is None at the end only."""

    jobs: Sequence[RestoreJob]
    next_cursor: str | None


class Jobs:
    """Restore jobs."""

    def __init__(self, link: RedisLink) -> None:
        self._link = link

    async def create(self, job: RestoreJob, asked: Sequence[AskedSession]) -> None:
        """Store a new job, with the sessions that were named.

        Raises:
            TooManyJobsError: as many are unfinished as may.
        """
        named = json.dumps([asdict(item) for item in asked])
        async with self._link.asking("store a job"):
            # Whoever asks at the same moment may come in, too: a few more than the limit do no harm.
            if await self._link.text.zcard(keys.JOBS_UNFINISHED) >= UNFINISHED_MAX:
                raise TooManyJobsError(
                    "as many restore jobs are unfinished as may",
                    hint="name many sessions in one job, or restore a single one by its own path",
                )
            # With a TTL until it is listed: of one that never is, nothing stays.
            await self._link.together(
                "store a job",
                ("SET", keys.job_asked(job.job_id), named, "PX", _KEPT_MS),
                ("SET", keys.job(job.job_id), _to_text(job), "PX", _KEPT_MS),
            )
            await self._list(job)
        await self._link.run("keep_job", [keys.job(job.job_id), keys.job_asked(job.job_id)], [JobState.DONE])

    async def _list(self, job: RestoreJob) -> None:
        at_ms = int(job.created_at.timestamp() * 1000)
        lists = (keys.JOBS, keys.JOBS_UNFINISHED)
        await self._link.together("list a job", *(("ZADD", name, at_ms, job.job_id) for name in lists))

    async def get(self, job_id: str) -> RestoreJob:
        """Return one job.

        Raises:
            JobNotFoundError: there is none, or it was done more than a week ago.
        """
        async with self._link.asking("read a job"):
            body = await self._link.text.get(keys.job(job_id))
        if body is None:
            raise JobNotFoundError("no such job", job=job_id)
        return _from_text(body)

    async def page(self, cursor: str | None, limit: int) -> JobPage:
        """Return up to `limit` jobs that were asked for before the one that `cursor` names."""
        listed = await self._listed(cursor, limit + 1)
        last, at_ms = listed[limit - 1] if len(listed) > limit else ("", 0.0)
        jobs = await self._read([job_id for job_id, _ in listed[:limit]])
        return JobPage(jobs=jobs, next_cursor=f"{at_ms:.0f}_{last}" if last else None)

    async def _listed(self, cursor: str | None, count: int) -> list[tuple[str, float]]:
        """Return ids behind a place with when they were asked for, newest first."""
        at_ms, _, last = (cursor or "").partition("_")
        client, span = self._link.text, {"start": 0, "num": count, "withscores": True}
        async with self._link.asking("list jobs"):
            if cursor is None:
                return list(await client.zrevrangebyscore(keys.JOBS, "+inf", "-inf", **span))
            same = await client.zrangebyscore(keys.JOBS, at_ms, at_ms, withscores=True)
            older = await client.zrevrangebyscore(keys.JOBS, f"({at_ms}", "-inf", **span)
        return [*(one for one in reversed(same) if one[0] < last), *older][:count]

    async def unfinished(self, *, but: Collection[str] = ()) -> list[RestoreJob]:
        """Return the jobs that `finish` was not called for, `but` for some, oldest first."""
        async with self._link.asking("list jobs"):
            listed = await self._link.text.zrange(keys.JOBS_UNFINISHED, 0, -1)
        ids = [job_id for job_id in listed if job_id not in but]
        jobs = await self._read(ids)
        gone = set(ids) - {job.job_id for job in jobs}
        if gone:  # a job is whole before it is listed: Redis lost these
            async with self._link.asking("drop jobs"):
                await self._link.text.zrem(keys.JOBS_UNFINISHED, *gone)
        return jobs

    async def _read(self, ids: Sequence[str]) -> list[RestoreJob]:
        async with self._link.asking("list jobs"):
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
        done = job.state is JobState.DONE
        names = {"asked": keys.job_asked(job.job_id), "members": keys.job_members(job.job_id)}
        commands: list[tuple[str | int, ...]] = []
        if members is not None:
            commands += [("SET", names["members"], json.dumps(list(members))), ("DEL", names["asked"])]
        if done:
            commands += [("DEL", name) for name in names.values()]
        life = ("PX", _KEPT_MS) if done else ()
        await self._link.together("store a job", *commands, ("SET", keys.job(job.job_id), _to_text(job), *life))

    async def finish(self, job_id: str) -> None:
        """Have a job worked no more: it is saved as done, and that is told. Idempotent."""
        async with self._link.asking("finish a job"):
            await self._link.text.zrem(keys.JOBS_UNFINISHED, job_id)
        await self._forget_old()

    async def _forget_old(self) -> None:
        """Take jobs off the list whose week is over."""
        before_ms = int(utc_now().timestamp() * 1000) - _KEPT_MS
        async with self._link.asking("drop jobs"):
            old = await self._link.text.zrangebyscore(keys.JOBS, "-inf", before_ms, start=0, num=_FORGOTTEN_AT_ONCE)
            pipe = self._link.text.pipeline(transaction=False)
            for job_id in old:
                pipe.exists(keys.job(job_id))
            there = await pipe.execute() if old else []
            gone = [job_id for job_id, kept in zip(old, there, strict=True) if not kept]
            if gone:
                await self._link.text.zrem(keys.JOBS, *gone)

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
    raw = {name: raw[name] for name in raw.keys() & RestoreJob.__dataclass_fields__.keys()}  # a newer version has more
    times = {name: parse_iso(raw[name]) if raw[name] else None for name in _TIMES}
    made = raw | times | {"source": JobSource(raw["source"]), "state": JobState(raw["state"])}
    return RestoreJob(**(made | {"unknown": tuple(raw["unknown"])}))
