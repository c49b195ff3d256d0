"""`/api/whatsapp/shards`: which shards there are, how full they are, and emptying one."""

from typing import Annotated

from fastapi import APIRouter, Path, Security
from pydantic import BaseModel, Field

from daemon.api.access import DirectoryOf
from daemon.api.auth import documented_bearer
from daemon.api.fields import Instant
from daemon.api.openapi import problems
from daemon.core.clock import utc_now
from daemon.core.errors import InvalidInputError, ShardNotFoundError
from daemon.core.ids import SHARD_PATTERN
from daemon.registry.drains import Drain
from daemon.registry.seen import SeenShard

SHARDS_PATH = "/api/whatsapp/shards"

router = APIRouter(prefix=SHARDS_PATH, tags=["shards"], dependencies=[Security(documented_bearer)])

ShardInPath = Annotated[str, Path(pattern=SHARD_PATTERN, examples=["shard_00"])]
_ONE = problems(ShardNotFoundError, InvalidInputError)


class DrainBody(BaseModel):
    """A drain: done once nothing is left and nothing is moving."""

    since: Instant
    total: int = Field(description="Sessions placed on it when the drain began.")
    left: int | None = Field(description="Sessions still placed on it; null until the leader has looked.")
    moving: int | None = Field(description="Sessions that are not up at their new place yet.")
    blocked_reason: str | None = Field(
        description="Why none moves: `no_open_shard`, `shards_full`, `unsaved_state` (on its disk only).",
        examples=[None],
    )


class ExitBody(BaseModel):
    """How its last process ended."""

    at: Instant
    expected: bool = Field(description="It was told to stop.")
    how: str = Field(examples=["exited unexpectedly"])


class ShardBody(BaseModel):
    """One shard; what its heartbeat says is null while it is gone."""

    name: str = Field(examples=["shard_00"])
    alive: bool
    host: str | None = None
    pid: int | None = None
    sessions: int | None = Field(default=None, description="Sessions that run now.")
    capacity: int | None = Field(default=None, description="Most sessions that may be placed on it.")
    starting: int | None = Field(default=None, description="Sessions that are being started.")
    waiting: int | None = Field(default=None, description="Sessions that wait for their turn to start.")
    stopping: bool | None = Field(default=None, description="It closes its sessions and then ends.")
    full: bool | None = Field(default=None, description="Its host has no room for more.")
    loop_lag_ms: float | None = None
    cpu_percent: float | None = Field(default=None, description="Of one CPU.")
    rss_bytes: int | None = None
    started_at: Instant | None = None
    last_seen_at: Instant | None = None
    cooling_until: Instant | None = Field(
        default=None, description="It crashed: nothing new is placed on it until then."
    )
    last_exit: ExitBody | None = None
    drain: DrainBody | None = Field(
        default=None, description="It is being drained, or is drained; null when it is not."
    )


class ShardList(BaseModel):
    """All shards by name."""

    shards: list[ShardBody]


@router.get("", responses=problems())
async def list_shards(directory: DirectoryOf) -> ShardList:
    """List every shard ever seen."""
    return ShardList(shards=[_shown(shard) for shard in await directory.shards()])


@router.get("/{name}", responses=_ONE)
async def get_shard(name: ShardInPath, directory: DirectoryOf) -> ShardBody:
    """Show one shard, and how far its drain is."""
    return _shown(await directory.shard(name))


@router.post("/{name}/drain", status_code=202, responses=_ONE)
async def drain_shard(name: ShardInPath, directory: DirectoryOf) -> ShardBody:
    """Give its sessions to other shards, a few at a time, and place nothing on it until `undrain`."""
    return _shown(await directory.drain(name))


@router.post("/{name}/undrain", responses=_ONE)
async def undrain_shard(name: ShardInPath, directory: DirectoryOf) -> ShardBody:
    """Have it take sessions again; those that it gave away stay where they are."""
    return _shown(await directory.undrain(name))


def _shown(shard: SeenShard) -> ShardBody:
    body = ShardBody(
        name=shard.name,
        alive=shard.alive,
        cooling_until=shard.exit.cools_until() if shard.exit and shard.cools(utc_now()) else None,
        last_exit=_shown_exit(shard),
        drain=_shown_drain(shard.drain) if shard.drain else None,
    )
    beat = shard.heartbeat
    if beat is None or not shard.alive:
        return body
    told = {
        name: getattr(beat, name) for name in ShardBody.model_fields.keys() - body.model_fields_set - {"last_seen_at"}
    }
    return body.model_copy(update=told | {"last_seen_at": beat.at})


def _shown_exit(shard: SeenShard) -> ExitBody | None:
    if shard.exit is None:
        return None
    return ExitBody(at=shard.exit.at, expected=shard.exit.expected, how=shard.exit.code_text)


def _shown_drain(drain: Drain) -> DrainBody:
    count = drain.count
    return DrainBody(
        since=drain.since,
        total=drain.total,
        left=count.left if count else None,
        moving=count.moving if count else None,
        blocked_reason=count.blocked_reason if count else None,
    )
