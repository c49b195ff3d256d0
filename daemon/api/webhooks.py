"""`/api/whatsapp/webhooks`: how the endpoints do, and the events that they did not get."""

from typing import Annotated, Any, Self

from fastapi import APIRouter, Path, Query, Security
from pydantic import BaseModel, Field, StringConstraints, model_validator

from daemon.api.access import WebhooksOf
from daemon.api.answers import Readable
from daemon.api.auth import documented_bearer
from daemon.api.fields import Cursor, Id, Instant, TextId
from daemon.api.openapi import problems, problems_with_body
from daemon.api.schemas import Request
from daemon.core.errors import DeadLetterNotFoundError, EndpointNotFoundError, InvalidInputError
from daemon.registry.dead_letters import DeadLetter, LetterFilter
from daemon.sessions.events import EventKind
from daemon.webhooks.configured import ENDPOINT_PATTERN
from daemon.webhooks.desk import EndpointState, SeenEndpoint

WEBHOOKS_PATH = "/api/whatsapp/webhooks"

router = APIRouter(prefix=WEBHOOKS_PATH, tags=["webhooks"], dependencies=[Security(documented_bearer)])

EndpointName = Annotated[str, StringConstraints(pattern=ENDPOINT_PATTERN)]
EndpointInPath = Annotated[str, Path(pattern=ENDPOINT_PATTERN, examples=["laravel"])]
LetterId = Annotated[str, StringConstraints(pattern=r"^[0-9]{1,17}-[0-9]{1,17}$")]
LetterInPath = Annotated[str, Path(pattern=r"^[0-9]{1,17}-[0-9]{1,17}$", examples=["1769860800000-0"])]

_ONE_ENDPOINT = problems(EndpointNotFoundError, InvalidInputError)
_ONE_LETTER = problems(DeadLetterNotFoundError, InvalidInputError)


class EndpointBody(BaseModel):
    """One endpoint and what waits for it."""

    name: str = Field(examples=["laravel"])
    host: str = Field(description="Of its address; the rest may be secret.", examples=["app.example.com"])
    events: list[str] | None = Field(description="The events it gets; null: all.", examples=[None])
    workspaces: list[str] | None = Field(description="The workspaces whose events it gets; null: all.", examples=[None])
    state: EndpointState
    error: str | None = Field(description="Why it fails or is paused.", examples=["HTTP 500"])
    paused_at: Instant | None
    waiting: int = Field(description="Events that it has not got; may count some that it does not want.")
    parked_sessions: int = Field(description="Sessions whose events it refuses while it takes those of others.")
    oldest_waiting_at: Instant | None = Field(description="When the oldest event that waits was told.")
    dead: int = Field(description="Dead letters.")
    dropped: int = Field(description="Events lost because there were more than EVENTS_MAX, since ever.")
    forgotten: int = Field(description="Dead letters lost because there were more than DEAD_LETTERS_MAX, since ever.")


class EndpointList(BaseModel):
    """All endpoints by name."""

    endpoints: list[EndpointBody]


class LetterBody(BaseModel):
    """An event that an endpoint did not get."""

    id: str = Field(examples=["1769860800000-0"])
    endpoint: str = Field(examples=["laravel"])
    reason: str = Field(examples=["given up after 154 tries: HTTP 500"])
    tries: int
    told_at: Instant
    buried_at: Instant
    event: Annotated[dict[str, Any], Readable] = Field(description="As in the webhook; empty if it cannot be read.")


class LetterList(BaseModel):
    """A page, oldest first. One that is empty is not the last unless `next_cursor` is null."""

    dead: list[LetterBody]
    next_cursor: str | None


class AskRedrive(Request):
    """Which dead letters: `ids`, or `all`, or filters. Repeat with `next_cursor` until it is null."""

    ids: list[LetterId] | None = Field(None, min_length=1, max_length=1000, examples=[["1769860800000-0"]])
    all: bool = Field(False, examples=[False])
    endpoint: EndpointName | None = Field(None, examples=[None])
    session_id: Id | None = Field(None, examples=[None])
    workspace_id: Id | None = Field(None, examples=[None])
    event: EventKind | None = Field(None, examples=[None])
    cursor: Cursor | None = Field(None, examples=[None])

    @model_validator(mode="after")
    def _says_which(self) -> Self:
        filters = (self.endpoint, self.session_id, self.workspace_id, self.event)
        filtered = any(value is not None for value in filters)
        if [self.ids is not None, self.all, filtered].count(True) != 1:
            raise ValueError("give either ids, or all, or at least one of endpoint, session_id, workspace_id, event")
        if self.ids is not None and self.cursor is not None:
            raise ValueError("a cursor does not go with ids")
        return self


class RedrivenBody(BaseModel):
    """How many go to the end of their session's queue, with their old event id and a new time limit."""

    redriven: int
    skipped: int = Field(description="Gone meanwhile, or of an endpoint that is configured no more.")
    next_cursor: str | None = Field(description="Ask again with it; null: these were all.")


class TestedBody(BaseModel):
    """What the receiver said to the event `test`."""

    taken: bool
    status: int | None = Field(description="HTTP status; null without an answer.", examples=[200])
    error: str | None = Field(examples=[None])
    took_ms: float


@router.get("", responses=problems())
async def list_endpoints(webhooks: WebhooksOf) -> EndpointList:
    """List the endpoints, how they do, and how much waits for them."""
    return EndpointList(endpoints=[_shown(one) for one in await webhooks.endpoints()])


@router.get("/dead", responses=problems(InvalidInputError))
async def list_dead_letters(
    webhooks: WebhooksOf,
    endpoint: EndpointName | None = None,
    session_id: TextId | None = None,
    workspace_id: TextId | None = None,
    event: EventKind | None = None,
    cursor: Cursor | None = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
) -> LetterList:
    """List the events that were given up, oldest first."""
    page = await webhooks.dead(_filter(endpoint, session_id, workspace_id, event), cursor=cursor, limit=limit)
    return LetterList(dead=[_letter(one) for one in page.letters], next_cursor=page.next_cursor)


@router.post("/dead/redrive", responses=problems_with_body())
async def redrive_dead_letters(body: AskRedrive, webhooks: WebhooksOf) -> RedrivenBody:
    """Send dead letters again, 1000 at most in one call."""
    if body.ids is not None:
        done = await webhooks.redrive(body.ids)
    else:
        wanted = _filter(body.endpoint, body.session_id, body.workspace_id, body.event)
        done = await webhooks.redrive_all(wanted, cursor=body.cursor)
    return RedrivenBody(redriven=done.redriven, skipped=done.skipped, next_cursor=done.next_cursor)


@router.get("/dead/{letter_id}", responses=_ONE_LETTER)
async def get_dead_letter(letter_id: LetterInPath, webhooks: WebhooksOf) -> LetterBody:
    """Show one dead letter."""
    return _letter(await webhooks.letter(letter_id))


@router.delete("/dead/{letter_id}", status_code=204, responses=_ONE_LETTER)
async def delete_dead_letter(letter_id: LetterInPath, webhooks: WebhooksOf) -> None:
    """Remove a dead letter for good."""
    await webhooks.delete(letter_id)


@router.post("/{name}/resume", responses=_ONE_ENDPOINT)
async def resume_endpoint(name: EndpointInPath, webhooks: WebhooksOf) -> EndpointBody:
    """Deliver again to an endpoint that was paused because it answered 410 too often."""
    return _shown(await webhooks.resume(name))


@router.post("/{name}/test", responses=_ONE_ENDPOINT)
async def test_endpoint(name: EndpointInPath, webhooks: WebhooksOf) -> TestedBody:
    """Post a signed event `test` now, and say what the receiver answered."""
    answer = await webhooks.test(name)
    return TestedBody(taken=answer.taken, status=answer.status, error=answer.error, took_ms=answer.took_ms)


def _filter(
    endpoint: str | None, session_id: str | None, workspace_id: str | None, event: EventKind | None
) -> LetterFilter:
    name = event.value if event else None
    return LetterFilter(endpoint=endpoint, session_id=session_id, workspace_id=workspace_id, event=name)


def _shown(one: SeenEndpoint) -> EndpointBody:
    counts = one.counts
    return EndpointBody(
        name=one.name,
        host=one.host,
        events=None if one.events is None else list(one.events),
        workspaces=None if one.workspaces is None else list(one.workspaces),
        state=one.state,
        error=one.error,
        paused_at=one.paused_at,
        waiting=counts.waiting,
        parked_sessions=counts.parked_sessions,
        oldest_waiting_at=one.oldest_waiting_at,
        dead=counts.dead,
        dropped=counts.dropped,
        forgotten=counts.forgotten,
    )


def _letter(one: DeadLetter) -> LetterBody:
    return LetterBody(
        id=one.letter_id,
        endpoint=one.endpoint,
        reason=one.reason,
        tries=one.tries,
        told_at=one.told_at,
        buried_at=one.buried_at,
        event=dict(one.event),
    )
