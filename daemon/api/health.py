"""Routes of `/health`. Open ones say only whether things work; `/health/redis` and `/health/r2` need the token."""

import asyncio
from typing import Annotated, Literal, cast

from fastapi import APIRouter, Depends, Request, Response, Security
from pydantic import BaseModel, Field

from daemon.api.auth import documented_bearer
from daemon.api.openapi import problems
from daemon.api.probes import Probes
from daemon.core.errors import BlazzError

router = APIRouter(tags=["health"])

Working = Literal["healthy", "unhealthy"]
_NO_ANSWER = "no answer in time"


class ShardsHealth(BaseModel):
    """How many shards live, of how many ever seen."""

    alive: int
    total: int


class HealthBody(BaseModel):
    """The whole: `degraded` still serves, `unhealthy` (503) does not."""

    status: Literal["healthy", "degraded", "unhealthy"]
    redis: Working
    r2: Working
    shards: ShardsHealth


class LiveBody(BaseModel):
    """The process answers."""

    status: Literal["alive"] = "alive"


class ReadyBody(BaseModel):
    """Whether requests can be served: Redis answers and at least one shard lives."""

    status: Literal["ready", "not_ready"]
    redis: Working
    shards: ShardsHealth


class RedisBody(BaseModel):
    """What Redis answered."""

    status: Working
    connected: bool
    latency_ms: float | None = None
    error: str | None = None


class StoreBody(BaseModel):
    """What the object store answered."""

    status: Literal["healthy"] = "healthy"
    bucket: str
    connected: bool = True
    sampleObject: str | None = Field(description="Name of one object; null in an empty bucket.")


class StoreFailure(BaseModel):
    """The object store does not answer, or refuses."""

    status: Literal["unhealthy"] = "unhealthy"
    error: str


async def _probes(request: Request) -> Probes:
    return cast(Probes, request.app.state.probes)


ProbesOf = Annotated[Probes, Depends(_probes)]


@router.get("/health/live")
async def live() -> LiveBody:
    """Say that the process answers."""
    return LiveBody()


@router.get("/health", responses={503: {"model": HealthBody, "description": "Redis is down, or no shard lives."}})
async def health(probes: ProbesOf, response: Response) -> HealthBody:
    """Sum up Redis, the object store (looked at every 30 seconds at most) and the shards."""
    redis, store, count = await asyncio.gather(probes.redis(), probes.store(fresh=False), probes.shards())
    redis_up = redis is not None and redis.connected
    store_up = store is not None and store.connected
    shards = ShardsHealth(alive=count.alive if count else 0, total=count.total if count else 0)
    if not redis_up or shards.alive == 0:
        status: Literal["healthy", "degraded", "unhealthy"] = "unhealthy"
        response.status_code = 503
    else:
        status = "healthy" if store_up and shards.alive == shards.total else "degraded"
    return HealthBody(status=status, redis=_working(redis_up), r2=_working(store_up), shards=shards)


@router.get("/health/ready", responses={503: {"model": ReadyBody, "description": "Not ready."}})
async def ready(probes: ProbesOf, response: Response) -> ReadyBody:
    """Say whether requests can be served."""
    redis, count = await asyncio.gather(probes.redis(), probes.shards())
    redis_up = redis is not None and redis.connected
    shards = ShardsHealth(alive=count.alive if count else 0, total=count.total if count else 0)
    is_ready = redis_up and shards.alive > 0
    if not is_ready:
        response.status_code = 503
    return ReadyBody(status="ready" if is_ready else "not_ready", redis=_working(redis_up), shards=shards)


@router.get(
    "/health/redis",
    dependencies=[Security(documented_bearer)],
    responses=problems() | {503: {"model": RedisBody, "description": "Redis does not answer."}},
)
async def redis_health(probes: ProbesOf, response: Response) -> RedisBody:
    """Ask Redis."""
    redis = await probes.redis()
    if redis is not None and redis.connected:
        return RedisBody(status="healthy", connected=True, latency_ms=redis.latency_ms)
    response.status_code = 503
    return RedisBody(status="unhealthy", connected=False, error=(redis.error if redis else None) or _NO_ANSWER)


@router.get(
    "/health/r2",
    response_model=StoreBody,
    dependencies=[Security(documented_bearer)],
    responses=problems(BlazzError) | {500: {"model": StoreFailure, "description": "The object store does not work."}},
)
async def store_health(probes: ProbesOf) -> Response | StoreBody:
    """Ask the object store for the name of one object."""
    store = await probes.store(fresh=True)
    if store is not None and store.connected:
        return StoreBody(bucket=store.bucket, sampleObject=store.sample_object)
    failure = StoreFailure(error=(store.error if store else None) or _NO_ANSWER)
    return Response(failure.model_dump_json(), status_code=500, media_type="application/json")


def _working(up: bool) -> Working:
    return "healthy" if up else "unhealthy"
