"""The directory as a token that is limited to workspaces sees it: sessions of others are not there.

Complete by construction: a method that takes a session id first is guarded, and whatever else is not named here is
forbidden, so a method that is added later cannot be forgotten.
"""

import inspect
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, cast

from daemon.api.caller import Caller
from daemon.api.errors import ForbiddenError, WorkspaceForbiddenError
from daemon.api.ports import SentMessage, SessionDirectory, SessionPage
from daemon.core.errors import SessionNotFoundError
from daemon.core.ids import check_id, session_id_for
from daemon.sessions.record import SessionRecord
from daemon.sessions.states import SessionState


def as_seen_by(directory: SessionDirectory, caller: Caller) -> SessionDirectory:
    """Return the directory as this caller may use it."""
    return directory if caller.workspaces is None else cast(SessionDirectory, WorkspaceDirectory(directory, caller))


def forbid_limited(caller: Caller) -> None:
    """Do nothing unless the caller is limited to workspaces.

    Raises:
        ForbiddenError: what is asked concerns the whole installation.
    """
    if caller.workspaces is not None:
        raise ForbiddenError("this token is limited to workspaces, and this is about all of them")


class WorkspaceDirectory:
    """The sessions of some workspaces."""

    def __init__(self, inner: SessionDirectory, caller: Caller) -> None:
        self._inner = inner
        self._caller = caller

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        method: Callable[..., Awaitable[Any]] = getattr(self._inner, name)
        first = next(iter(inspect.signature(method).parameters), None)
        if first != "session_id":
            forbid_limited(self._caller)
        return self._guarded(method)

    def _guarded(self, method: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def call(session_id: str, *args: Any, **named: Any) -> Any:
            await self.get(session_id)
            return await method(session_id, *args, **named)

        return call

    async def get(self, session_id: str) -> SessionRecord:
        """Return one session, if it is in one of the workspaces."""
        record = await self._inner.get(session_id)
        if not self._caller.sees(record.workspace_id):
            # The same words as for one that is not there.
            raise SessionNotFoundError("no such session", session_id=session_id)
        return record

    async def send(
        self, session_id: str, *, seen: Callable[[SessionRecord], bool] = lambda _record: True, **message: Any
    ) -> SentMessage:
        """Send from a session in one of the workspaces; the inner one knows what is certain where there is none."""

        def seen_here(record: SessionRecord) -> bool:
            return self._caller.sees(record.workspace_id) and seen(record)

        return await self._inner.send(session_id, seen=seen_here, **message)

    async def create(
        self,
        *,
        workspace_id: str,
        user_id: str,
        session_id: str | None = None,
        phone: str | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> tuple[SessionRecord, bool]:
        """Create a session in one of the workspaces."""
        if not self._caller.sees(check_id(workspace_id, "workspace_id")):
            raise WorkspaceForbiddenError("this token is limited to other workspaces")
        # Names of this form are given by user and workspace: one chosen by hand could take that of another workspace.
        named = session_id is not None and session_id.startswith("session-")
        if named and session_id != session_id_for(user_id, workspace_id):
            raise WorkspaceForbiddenError("with this token, an id of the form session-... must be this user's own")
        return await self._inner.create(
            workspace_id=workspace_id, user_id=user_id, session_id=session_id, phone=phone, metadata=metadata
        )

    async def list(
        self,
        *,
        cursor: str | None = None,
        limit: int = 100,
        status: SessionState | None = None,
        workspace_id: str | None = None,
        shard: str | None = None,
        workspaces: frozenset[str] | None = None,
    ) -> SessionPage:
        """Return a page of the sessions of the workspaces."""
        seen = self._caller.workspaces if workspaces is None else workspaces & (self._caller.workspaces or frozenset())
        return await self._inner.list(
            cursor=cursor, limit=limit, status=status, workspace_id=workspace_id, shard=shard, workspaces=seen
        )
