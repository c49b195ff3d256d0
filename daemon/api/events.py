"""`/api/whatsapp/events`: what happens, as server-sent events that can be resumed where they broke off."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Header, Query, Security
from sse_starlette import EventSourceResponse, ServerSentEvent

from daemon.api.access import FeedOf, Works, WorksOf
from daemon.api.auth import documented_bearer
from daemon.api.caller import OPERATOR, Caller, CallerOf
from daemon.api.fields import TextId
from daemon.api.openapi import problems
from daemon.api.ports import EventFeed, Follower
from daemon.core.clock import mono_s
from daemon.core.errors import EventIdUnknownError, InvalidInputError, RedisUnavailableError, TooManyFollowersError
from daemon.core.tokens import Scope
from daemon.sessions.events import Event, EventKind
from daemon.webhooks.body import body_of

EVENTS_PATH = "/api/whatsapp/events"

router = APIRouter(prefix=EVENTS_PATH, tags=["events"], dependencies=[Security(documented_bearer)])

_HEARTBEAT_S = 15
_SEND_TIMEOUT_S = 60
_RETRY_MS = 2000
_RETRY_S = 0.5
_PLACE_EVERY_S = 5.0
"""How old the place that a follower was told may be while nothing comes that it wants."""
_ID = r"^[0-9]{1,20}(-[0-9]{1,20})?$"

_CODES = frozenset({EventKind.QR, EventKind.PAIRING_CODE})
_STREAM = {
    "description": "A stream of events: `id` is the place in the log, `event` the kind, `data` what a webhook has. "
    "The event `gap` says that events behind the place where one wanted to go on are gone. A frame with `id` and no "
    "`data`, as the first one is, tells the place to go on from. Comments are heartbeats.",
    "content": {
        "text/event-stream": {
            "schema": {"type": "string"},
            "example": ": ok\nid: 1769860799000-3\nretry: 2000\n\n"
            'id: 1769860800000-0\nevent: ready\ndata: {"id":"evt_01ARZ3NDEKTS","event":"ready"}\n\n',
        }
    },
}


@router.get(
    "",
    response_class=EventSourceResponse,
    responses=problems(InvalidInputError, EventIdUnknownError, TooManyFollowersError) | {200: _STREAM},
)
async def follow_events(
    feed: FeedOf,
    caller: CallerOf,
    works: WorksOf,
    session_id: Annotated[list[TextId] | None, Query(max_length=100, description="Only these.")] = None,
    workspace_id: Annotated[list[TextId] | None, Query(max_length=100)] = None,
    event: Annotated[list[EventKind] | None, Query(max_length=50)] = None,
    last_event_id: Annotated[
        str | None,
        Query(pattern=_ID, description="As the header; `0` is the beginning."),
    ] = None,
    resume_at: Annotated[
        str | None, Header(alias="Last-Event-ID", pattern=_ID, description="Go on behind this event; else from now on.")
    ] = None,
) -> EventSourceResponse:
    """Follow what happens, from now on or behind the last event that was seen."""
    wanted = _Wanted(caller, frozenset(session_id or ()), frozenset(workspace_id or ()), frozenset(event or ()))
    begun = contextlib.AsyncExitStack()
    token_id = None if caller is OPERATOR else caller.name
    follower = await begun.enter_async_context(feed.follow(resume_at or last_event_id, token_id=token_id))
    return EventSourceResponse(
        _frames(feed, follower, wanted, works, begun),
        ping=_HEARTBEAT_S,
        send_timeout=_SEND_TIMEOUT_S,
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
        sep="\n",
    )


class _Wanted:
    """Which events a caller wants and may see. Those that are not one session's go to whoever sees all workspaces."""

    def __init__(
        self, caller: Caller, sessions: frozenset[str], workspaces: frozenset[str], kinds: frozenset[EventKind]
    ) -> None:
        self._caller = caller
        self._sessions = sessions
        self._workspaces = workspaces
        self._kinds = kinds

    def takes(self, event: Event) -> bool:
        """Whether it is one of those. A code links a phone: it needs the scope that reading it by its path needs."""
        return (
            self._caller.sees(event.workspace_id)
            and (event.kind not in _CODES or Scope.MANAGE in self._caller.scopes)
            and (not self._sessions or event.session_id in self._sessions)
            and (not self._workspaces or event.workspace_id in self._workspaces)
            and (not self._kinds or event.kind in self._kinds)
        )


async def _frames(
    feed: EventFeed, follower: Follower, wanted: _Wanted, works: Works, begun: contextlib.AsyncExitStack
) -> AsyncIterator[ServerSentEvent]:
    async with begun:
        # A connection may break off before anything wanted comes: it has a place to go on from all the same.
        place, told_mono_s = follower.last_id, mono_s()
        yield _place(follower, place, retry=_RETRY_MS, comment="ok")
        while True:
            try:
                found = await feed.next(follower)
            except RedisUnavailableError:
                await asyncio.sleep(_RETRY_S)
                continue
            if found is None or not await works():
                return
            if follower.gap:
                yield _place(follower, place)
            for logged in found:
                if wanted.takes(logged.event):
                    place, told_mono_s = logged.entry_id, mono_s()
                    body = body_of(logged.event).decode()
                    yield ServerSentEvent(id=place, event=logged.event.kind.value, data=body, sep="\n")
            if follower.last_id != place and mono_s() - told_mono_s >= _PLACE_EVERY_S:
                place, told_mono_s = follower.last_id, mono_s()
                yield _place(follower, place)


def _place(follower: Follower, place: str, *, retry: int | None = None, comment: str | None = None) -> ServerSentEvent:
    """Return a frame that tells a place, and with it the gap, if there is one: whoever has the place has heard of it.

    Without data a frame is no event, and its id counts all the same ("dispatch the event" in WHATWG's HTML).
    """
    gap, follower.gap = follower.gap, False
    return ServerSentEvent(
        '{"reason":"events behind the last one are gone"}' if gap else None,
        event="gap" if gap else None,
        id=place,
        retry=retry,
        comment=comment,
        sep="\n",
    )
