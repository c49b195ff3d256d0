"""`/api/whatsapp/tokens`: making, listing and revoking API tokens. The operator's, or of a token with `admin`."""

from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Path, Response, Security
from pydantic import BaseModel, Field, StringConstraints

from daemon.api.access import TokensOf
from daemon.api.auth import documented_bearer
from daemon.api.fields import Id, Instant
from daemon.api.openapi import problems, problems_with_body
from daemon.api.schemas import Request
from daemon.core.clock import utc_now
from daemon.core.errors import (
    InvalidInputError,
    ObjectStoreRefusedError,
    ObjectStoreUnavailableError,
    TokenNotFoundError,
)
from daemon.core.tokens import ApiToken, Scope

TOKENS_PATH = "/api/whatsapp/tokens"

router = APIRouter(prefix=TOKENS_PATH, tags=["tokens"], dependencies=[Security(documented_bearer)])

TokenIdInPath = Annotated[str, Path(pattern=r"^[A-Za-z0-9]{1,100}$", examples=["7Hq2TnV9xKdM"])]
_MAX_DAYS = 3650


class NewToken(Request):
    """What a new token may do."""

    name: Annotated[str, StringConstraints(min_length=1, max_length=100)] = Field(examples=["laravel production"])
    scopes: list[Scope] = Field(min_length=1, max_length=4, examples=[["send", "manage"]])
    workspaces: list[Id] | None = Field(
        None,
        min_length=1,
        max_length=1000,
        description="The only workspaces that it may see; null: all.",
        examples=[["7"]],
    )
    expires_in_days: int | None = Field(None, ge=1, le=_MAX_DAYS, examples=[90])


class TokenBody(BaseModel):
    """What is known of a token."""

    id: str = Field(examples=["7Hq2TnV9xKdM"])
    name: str
    scopes: list[Scope]
    workspaces: list[str] | None
    created_at: Instant
    expires_at: Instant | None


class CreatedToken(TokenBody):
    """A token that was just made."""

    token: str = Field(description="The token itself, shown only now.", examples=["blz_7Hq2TnV9xKdM_..."])


class TokenList(BaseModel):
    """All tokens that are not revoked, the oldest first."""

    tokens: list[TokenBody]


@router.get("", responses=problems())
async def list_tokens(tokens: TokensOf) -> TokenList:
    """List the tokens; API_TOKEN is not among them."""
    return TokenList(tokens=[TokenBody.model_validate(_shown(token)) for token in await tokens.all()])


@router.post("", status_code=201, responses=problems_with_body(ObjectStoreUnavailableError, ObjectStoreRefusedError))
async def create_token(body: NewToken, tokens: TokensOf, response: Response) -> CreatedToken:
    """Make a token. It is kept as a hash only."""
    days = body.expires_in_days
    token, text = await tokens.create(
        name=body.name,
        scopes=frozenset(body.scopes),
        workspaces=frozenset(body.workspaces) if body.workspaces is not None else None,
        expires_at=utc_now() + timedelta(days=days) if days is not None else None,
    )
    response.headers["Cache-Control"] = "no-store"
    return CreatedToken.model_validate(_shown(token) | {"token": text})


@router.delete(
    "/{token_id}",
    status_code=204,
    responses=problems(TokenNotFoundError, InvalidInputError, ObjectStoreUnavailableError, ObjectStoreRefusedError),
)
async def revoke_token(token_id: TokenIdInPath, tokens: TokensOf) -> None:
    """Have a token work no more, within 3 seconds everywhere. Idempotent for 30 days."""
    await tokens.revoke(token_id)


def _shown(token: ApiToken) -> dict[str, object]:
    return {
        "id": token.token_id,
        "name": token.name,
        "scopes": sorted(token.scopes),
        "workspaces": None if token.workspaces is None else sorted(token.workspaces),
        "created_at": token.created_at,
        "expires_at": token.expires_at,
    }
