"""`/api/whatsapp/restore`: many sessions connected again, with progress."""

from typing import Annotated, Self

from fastapi import APIRouter, Path, Query, Response, Security
from pydantic import BaseModel, ConfigDict, Field, model_validator

from daemon.api.access import RestoresOf
from daemon.api.auth import documented_bearer
from daemon.api.cursors import CursorsOf
from daemon.api.fields import Cursor, Id, Instant
from daemon.api.openapi import problems, problems_with_body
from daemon.api.schemas import Request, one_way
from daemon.core.errors import InvalidInputError, JobNotFoundError, TooManyJobsError
from daemon.core.ids import ID_PATTERN, session_id_for
from daemon.sessions.jobs import AskedSession, JobSource, JobState, RestoreJob

RESTORE_PATH = "/api/whatsapp/restore"

router = APIRouter(prefix=RESTORE_PATH, tags=["restore"], dependencies=[Security(documented_bearer)])

_MAX_SESSIONS = 10_000
_LIST = "restore jobs"

JobId = Annotated[str, Path(pattern=ID_PATTERN, examples=["job_01ARZ3NDEKTSV4RRFFQ69G5FAV"])]


class SessionToRestore(Request):
    """One session. With its workspace it is also found in the bucket, when Redis does not know it."""

    session_id: Id | None = Field(None, description="Default `session-{user_id}-{workspace_id}`.")
    workspace_id: Id | None = Field(None, examples=["7"])
    user_id: Id | None = Field(None, examples=["12"])

    @model_validator(mode="after")
    def _names_one(self) -> Self:
        if self.session_id is None and None in (self.workspace_id, self.user_id):
            raise ValueError("give session_id, or both workspace_id and user_id")
        return self

    def asked(self) -> AskedSession:
        """Return the session that is meant."""
        return AskedSession(
            session_id=self.session_id or session_id_for(self.user_id or "", self.workspace_id or ""),
            workspace_id=self.workspace_id,
            user_id=self.user_id,
        )


class RestoreRequest(Request):
    """Which sessions: a list, or all that a source knows."""

    model_config = ConfigDict(json_schema_extra={"allOf": [one_way(["sessions"], ["source"])]})

    sessions: list[Id | SessionToRestore] | None = Field(
        None,
        min_length=1,
        max_length=_MAX_SESSIONS,
        examples=[["session-12-7", {"workspace_id": "7", "user_id": "13"}]],
    )
    source: JobSource | None = Field(
        None, description="Instead of a list: `registry`, `bucket` or `platform`.", examples=[None]
    )

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        named = self.source in {None, JobSource.SESSIONS}
        if (self.sessions is not None) is not named:
            raise ValueError("give either sessions, or source as registry, bucket or platform")
        return self


class RestoreJobBody(BaseModel):
    """A restore job. The counts add up to `total`."""

    job_id: str = Field(examples=["job_01ARZ3NDEKTSV4RRFFQ69G5FAV"])
    source: JobSource
    state: JobState
    total: int = Field(description="0 until the job is running.")
    connected: int
    waiting: int = Field(description="Not placed, starting or syncing.")
    failed: int = Field(description="Could not be started; tried again all the same.")
    needs_scan: int = Field(description="Only a person can bring them back.")
    ended: int = Field(description="Stopped or deleted since.")
    eta_s: float | None = Field(description="Seconds until nothing waits any more; null while nobody can tell.")
    unknown: list[str] = Field(description="The first of the ids that no source knows, or has anything readable of.")
    unknown_count: int
    reason: str | None = Field(description="Code of the error for which it could not be taken up.")
    gave_up: bool = Field(description="Done although some still wait, or before it could be taken up.")
    created_at: Instant
    began_at: Instant | None
    finished_at: Instant | None


class RestoreJobList(BaseModel):
    """One page of jobs, newest first; pass `next_cursor` as `cursor` for older ones, null on the last."""

    jobs: list[RestoreJobBody]
    next_cursor: str | None


@router.post("", status_code=202, responses=problems_with_body(TooManyJobsError))
async def restore(body: RestoreRequest, restores: RestoresOf, response: Response) -> RestoreJobBody:
    """Have many sessions connected again: those that do not run are started, those that Redis lost are looked for."""
    asked = [AskedSession(session_id=item) if isinstance(item, str) else item.asked() for item in body.sessions or ()]
    job = await restores.begin(body.source or JobSource.SESSIONS, asked)
    response.headers["Location"] = f"{RESTORE_PATH}/{job.job_id}"
    return _shown(job)


@router.get("", responses=problems(InvalidInputError))
async def list_jobs(
    restores: RestoresOf,
    cursors: CursorsOf,
    cursor: Annotated[Cursor | None, Query(description="`next_cursor` of the page before.")] = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
) -> RestoreJobList:
    """List the jobs that are not done, or that were done in the last week; newest first."""
    page = await restores.list(cursor=cursors.open(_LIST, cursor), limit=limit)
    return RestoreJobList(jobs=[_shown(job) for job in page.jobs], next_cursor=cursors.seal(_LIST, page.next_cursor))


@router.get("/{job_id}", responses=problems(JobNotFoundError, InvalidInputError))
async def get_job(job_id: JobId, restores: RestoresOf) -> RestoreJobBody:
    """Show how far a job is."""
    return _shown(await restores.get(job_id))


def _shown(job: RestoreJob) -> RestoreJobBody:
    return RestoreJobBody.model_validate({name: getattr(job, name) for name in RestoreJobBody.model_fields})
