"""How a route gets at what the app was built with: the directory of sessions, the restore jobs, the webhooks.

All are async: FastAPI calls any other kind of dependency in a thread.
"""

from collections.abc import Awaitable, Callable
from typing import Annotated, cast

from fastapi import Depends, Request

from daemon.api.caller import OPERATOR, CallerOf
from daemon.api.ports import EventFeed, Restores, SessionDirectory, StoredCopies, Tokens, Webhooks
from daemon.api.scoped import as_seen_by, forbid_limited


async def _directory(request: Request, caller: CallerOf) -> SessionDirectory:
    return as_seen_by(cast(SessionDirectory, request.app.state.directory), caller)


DirectoryOf = Annotated[SessionDirectory, Depends(_directory)]


async def _restores(request: Request, caller: CallerOf) -> Restores:
    forbid_limited(caller)
    return cast(Restores, request.app.state.restores)


async def _tokens(request: Request, caller: CallerOf) -> Tokens:
    forbid_limited(caller)
    return cast(Tokens, request.app.state.tokens)


TokensOf = Annotated[Tokens, Depends(_tokens)]

Works = Callable[[], Awaitable[bool]]


async def _works(request: Request, caller: CallerOf) -> Works:
    tokens = cast(Tokens, request.app.state.tokens)

    async def works() -> bool:
        return caller is OPERATOR or await tokens.works(caller.name)

    return works


WorksOf = Annotated[Works, Depends(_works)]
"""Whether the caller's token still works: what is asked again and again by an answer that does not end."""

RestoresOf = Annotated[Restores, Depends(_restores)]


async def _copies(request: Request) -> StoredCopies:
    return cast(StoredCopies, request.app.state.copies)


CopiesOf = Annotated[StoredCopies, Depends(_copies)]


async def _feed(request: Request) -> EventFeed:
    return cast(EventFeed, request.app.state.feed)


FeedOf = Annotated[EventFeed, Depends(_feed)]


async def _webhooks(request: Request, caller: CallerOf) -> Webhooks:
    forbid_limited(caller)
    return cast(Webhooks, request.app.state.webhooks)


WebhooksOf = Annotated[Webhooks, Depends(_webhooks)]
