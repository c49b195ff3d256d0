"""Routes of one session's stored copies: the archives, going back to one, and restoring."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Security
from pydantic import BaseModel, Field

from daemon.api.access import CopiesOf, DirectoryOf
from daemon.api.auth import documented_bearer
from daemon.api.fields import Instant, SessionIdInPath
from daemon.api.openapi import problems, problems_with_body
from daemon.api.schemas import CopyBody, Request, SessionBody, session_body
from daemon.api.sessions import SESSIONS_PATH
from daemon.core.errors import (
    ArchiveNotFoundError,
    ArchiveVoidError,
    InvalidInputError,
    ObjectStoreRefusedError,
    ObjectStoreUnavailableError,
    SessionNotFoundError,
    UnsavedStateError,
)
from daemon.sessions.record import SessionRecord

router = APIRouter(prefix=SESSIONS_PATH, tags=["copies"], dependencies=[Security(documented_bearer)])

_STORE = (SessionNotFoundError, InvalidInputError, ObjectStoreUnavailableError, ObjectStoreRefusedError)
_MAX_TOKEN = 10**15


class StoredArchiveBody(BaseModel):
    """One archive in the object store; `clean`, `chromium` and `key_id` are null of one that another service left."""

    token: int = Field(examples=[4])
    generation: int = Field(examples=[12])
    key: str = Field(examples=["workspace_7/session-12-7/t00000004-g00000012.zip"])
    size_bytes: int = Field(examples=[104_218])
    backed_up_at: Instant
    clean: bool | None = Field(description="Taken after Chromium had ended.", examples=[True])
    chromium: str | None = Field(examples=["156.0.7123.4"])
    encrypted: bool = Field(examples=[False])
    key_id: str | None = Field(description="Id of the key that it is encrypted with.", examples=[None])
    legacy: bool = Field(description="A zip of another service, older than every archive of ours.", examples=[False])
    void: bool = Field(description="Its login was ended: it is never restored.", examples=[False])
    restorable: bool = Field(description="A rollback may choose it: it is not void.", examples=[True])
    set_aside: bool = Field(
        description="An earlier rollback passed over it: restored only if a rollback chooses it.", examples=[False]
    )


class ArchiveList(BaseModel):
    """One page of archives, newest first, and the copy in Redis."""

    hot_copy: CopyBody | None
    archives: list[StoredArchiveBody]
    next_cursor: str | None = Field(description="Pass it as `cursor` for older ones; null on the last page.")


class RollBack(Request):
    """Which archive to go back to."""

    generation: int = Field(ge=0, le=_MAX_TOKEN, examples=[12])
    token: int | None = Field(
        None, ge=0, le=_MAX_TOKEN, description="Needed only if several archives have this generation.", examples=[4]
    )


async def _seen(session_id: SessionIdInPath, directory: DirectoryOf) -> SessionRecord:
    # The directory shows a caller only what it may see; what is done to copies goes by the record that it gives.
    return await directory.get(session_id)


SeenRecord = Annotated[SessionRecord, Depends(_seen)]


@router.get("/{session_id}/archives", operation_id="list_archives", responses=problems(*_STORE))
async def list_archives(
    record: SeenRecord,
    copies: CopiesOf,
    cursor: Annotated[
        str | None,
        Query(pattern=r"^[0-9]{1,16}-[0-9]{1,16}$", description="`next_cursor` of the page before.", examples=["4-12"]),
    ] = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
) -> ArchiveList:
    """List what is stored of a session, newest first. Each archive of a page costs one request to the object store."""
    page = await copies.archives(record, cursor=cursor, limit=limit)
    return ArchiveList(
        hot_copy=session_body(record).hot_copy,
        archives=[
            StoredArchiveBody(
                token=archive.token,
                generation=archive.generation,
                key=archive.key,
                size_bytes=archive.size_bytes,
                backed_up_at=archive.backed_up_at,
                clean=archive.clean,
                chromium=archive.chromium,
                encrypted=archive.key_id is not None,
                key_id=archive.key_id,
                legacy=archive.legacy,
                void=archive.void,
                restorable=not archive.void,
                set_aside=archive.set_aside,
            )
            for archive in page.archives
        ],
        next_cursor=page.next_cursor,
    )


@router.post(
    "/{session_id}/rollback",
    operation_id="roll_back_session",
    status_code=202,
    responses=problems_with_body(*_STORE, ArchiveNotFoundError, ArchiveVoidError, UnsavedStateError),
)
async def roll_back_session(body: RollBack, record: SeenRecord, copies: CopiesOf) -> SessionBody:
    """Stop the session with a last backup and begin it from this archive. Nothing newer is deleted. Idempotent."""
    return session_body(await copies.roll_back(record, generation=body.generation, token=body.token))


@router.post(
    "/{session_id}/restore",
    operation_id="restore_session",
    status_code=202,
    responses=problems(SessionNotFoundError, InvalidInputError),
)
async def restore_session(record: SeenRecord, copies: CopiesOf) -> SessionBody:
    """Have it connected again, as a restore job does: one that runs is left alone, and no code is shown. Idempotent."""
    return session_body(await copies.restore(record))
