"""`GET /api/whatsapp/shards`: which shards there are and how full they are."""

from fastapi import APIRouter, Security
from pydantic import BaseModel, Field

from daemon.api.access import DirectoryOf
from daemon.api.auth import documented_bearer
from daemon.api.fields import Instant
from daemon.api.openapi import problems
from daemon.registry.membership import ShardView

router = APIRouter(prefix="/api/whatsapp/shards", tags=["shards"], dependencies=[Security(documented_bearer)])


class ShardBody(BaseModel):
    """One shard; everything but its name is null while it is gone."""

    name: str = Field(examples=["shard_00"])
    alive: bool
    host: str | None = None
    sessions: int | None = None
    capacity: int | None = None
    started_at: Instant | None = None
    last_seen_at: Instant | None = None


class ShardList(BaseModel):
    """All shards by name."""

    shards: list[ShardBody]


@router.get("", responses=problems())
async def list_shards(directory: DirectoryOf) -> ShardList:
    """List every shard ever seen."""
    return ShardList(shards=[_shown(view) for view in await directory.shards()])


def _shown(view: ShardView) -> ShardBody:
    beat = view.heartbeat
    if beat is None:
        return ShardBody(name=view.name, alive=False)
    return ShardBody(
        name=view.name,
        alive=True,
        host=beat.host,
        sessions=beat.sessions,
        capacity=beat.capacity,
        started_at=beat.started_at,
        last_seen_at=beat.at,
    )
