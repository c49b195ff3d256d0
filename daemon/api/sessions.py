"""Routes of `/api/whatsapp/sessions`: create, list, look, and the actions; QR codes are in `qr`."""

from typing import Annotated

from fastapi import APIRouter, Query, Response, Security

from daemon.api.access import DirectoryOf
from daemon.api.auth import documented_bearer
from daemon.api.cursors import CursorsOf
from daemon.api.fields import Cursor, SessionIdInPath, ShardName, TextId
from daemon.api.openapi import problems, problems_with_body
from daemon.api.schemas import (
    AskPairingCode,
    CreatedSession,
    CreateSession,
    PairingCodeBody,
    SessionBody,
    SessionList,
    session_body,
    shown,
)
from daemon.core.errors import (
    ActionFailedError,
    InvalidInputError,
    NoShardError,
    OutcomeUnknownError,
    SessionNotConnectedError,
    SessionNotFoundError,
    SessionTakenError,
    ShardUnavailableError,
)
from daemon.sessions.states import SessionState

SESSIONS_PATH = "/api/whatsapp/sessions"

_LIST = "sessions"

router = APIRouter(prefix=SESSIONS_PATH, tags=["sessions"], dependencies=[Security(documented_bearer)])

_WISH = problems(SessionNotFoundError, InvalidInputError, NoShardError)
_ASKS_SHARD = (
    SessionNotFoundError,
    InvalidInputError,
    SessionNotConnectedError,
    ShardUnavailableError,
    OutcomeUnknownError,
    ActionFailedError,
)


@router.post("", status_code=202, responses=problems_with_body(SessionTakenError, NoShardError))
async def create_session(body: CreateSession, directory: DirectoryOf, response: Response) -> CreatedSession:
    """Create a session and start it, or return the one that is there."""
    record, created = await directory.create(
        workspace_id=body.workspace_id,
        user_id=body.user_id,
        session_id=body.session_id,
        phone=body.phone,
        metadata=body.metadata,
    )
    response.headers["Location"] = f"{SESSIONS_PATH}/{record.session_id}"
    return CreatedSession.model_validate(shown(record) | {"created": created})


@router.get("", responses=problems(InvalidInputError))
async def list_sessions(
    directory: DirectoryOf,
    cursors: CursorsOf,
    status: SessionState | None = None,
    workspace_id: TextId | None = None,
    shard: ShardName | None = None,
    cursor: Annotated[Cursor | None, Query(description="`next_cursor` of the page before.")] = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
) -> SessionList:
    """List sessions in the order of their ids, those that fit every filter."""
    place = cursors.open(_LIST, cursor)
    page = await directory.list(cursor=place, limit=limit, status=status, workspace_id=workspace_id, shard=shard)
    # Sealed: it may be a session that was only looked at, of a workspace that is none of the caller's.
    return SessionList(
        sessions=[session_body(record) for record in page.sessions], next_cursor=cursors.seal(_LIST, page.next_cursor)
    )


@router.get("/{session_id}", responses=problems(SessionNotFoundError, InvalidInputError))
async def get_session(session_id: SessionIdInPath, directory: DirectoryOf) -> SessionBody:
    """Show one session."""
    return session_body(await directory.get(session_id))


@router.post("/{session_id}/start", status_code=202, responses=_WISH)
async def start_session(session_id: SessionIdInPath, directory: DirectoryOf) -> SessionBody:
    """Want it running. One that waits for a scan or is in conflict begins anew. Idempotent."""
    return session_body(await directory.start(session_id))


@router.post("/{session_id}/stop", status_code=202, responses=_WISH)
async def stop_session(session_id: SessionIdInPath, directory: DirectoryOf) -> SessionBody:
    """Want it stopped; a final backup is taken first. Idempotent."""
    return session_body(await directory.stop(session_id))


@router.post("/{session_id}/restart", status_code=202, responses=_WISH)
async def restart_session(session_id: SessionIdInPath, directory: DirectoryOf) -> SessionBody:
    """Stop it with a final backup and start it again."""
    return session_body(await directory.restart(session_id))


@router.post("/{session_id}/logout", status_code=202, responses=problems(*_ASKS_SHARD))
async def logout_session(session_id: SessionIdInPath, directory: DirectoryOf) -> SessionBody:
    """Unlink the device at WhatsApp; its backups are void from then on. Idempotent; a stopped one must be started."""
    return session_body(await directory.logout(session_id))


@router.post("/{session_id}/backup", status_code=202, responses=problems(*_ASKS_SHARD))
async def backup_session(session_id: SessionIdInPath, directory: DirectoryOf) -> SessionBody:
    """Take a hot copy and an archive now."""
    return session_body(await directory.backup(session_id))


@router.post("/{session_id}/pairing-code", responses=problems_with_body(*_ASKS_SHARD))
async def ask_pairing_code(
    session_id: SessionIdInPath, body: AskPairingCode, directory: DirectoryOf, response: Response
) -> PairingCodeBody:
    """Get a code that the phone types instead of scanning."""
    code = await directory.pairing_code(session_id, body.phone)
    response.headers["Cache-Control"] = "no-store"
    return PairingCodeBody(code=code.code, phone=code.phone, seen_at=code.seen_at)


@router.delete("/{session_id}", status_code=204, responses=problems(SessionNotFoundError, InvalidInputError))
async def delete_session(session_id: SessionIdInPath, directory: DirectoryOf) -> None:
    """Remove the session; its archives are kept for a grace period. Again it answers 404: take that as done."""
    await directory.delete(session_id)
