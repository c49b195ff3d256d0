"""A coordinator's reconcile loop on a real Redis with shards that only beat, for tests of placing."""

import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import datetime

from daemon.coordinator.leader import Leadership
from daemon.coordinator.reconcile import Reconciler
from daemon.core.clock import utc_now
from daemon.core.settings import SECTIONS, Settings
from daemon.registry.exits import ExitReport
from daemon.registry.membership import Heartbeat
from daemon.registry.registry import Registry
from daemon.sessions.record import SessionRecord
from daemon.sessions.states import SessionState

GRACE_MS = 60_000


def settings_for(redis_url: str, **coordinator: object) -> Settings:
    """Settings of a coordinator that looks at everything in each cycle."""
    values: Mapping[str, Mapping[str, object]] = {
        "redis": {"REDIS_URL": redis_url},
        "coordinator": {"RECONCILE_FULL_MS": 100, **coordinator},
        "shard": {"SHARD_GRACE_MS": GRACE_MS},
    }
    return Settings(**{name: kind.model_validate(values.get(name, {})) for name, kind in SECTIONS.items()})


class Floor:
    """A registry, and what tests put into it and ask of it."""

    def __init__(self, redis_url: str, **coordinator: object) -> None:
        self.settings = settings_for(redis_url, **coordinator)
        self.registry = Registry(self.settings)
        self.incarnations: dict[str, str] = {}

    def reconciler(self, who: str = "coordinator-of-tests") -> Reconciler:
        """The loop of one coordinator."""
        return Reconciler(self.registry, Leadership(self.registry, who), self.settings)

    async def beat(self, *names: str, capacity: int = 1000, again: bool = False) -> None:
        """Have shards live for longer than a test; `again`: as new processes."""
        for name in names:
            if again or name not in self.incarnations:
                self.incarnations[name] = f"{secrets.randbelow(30000) + 1}-{secrets.token_hex(4)}"
            incarnation, now = self.incarnations[name], utc_now()
            beat = Heartbeat(
                name=name, host="h", pid=int(incarnation.partition("-")[0]), incarnation=incarnation, started_at=now,
                at=now, sessions=0, capacity=capacity, loop_lag_ms=0.0, rss_bytes=1,
            )  # fmt: skip
            await self.registry.shards.beat(beat, ttl_ms=600_000)

    async def report_exit(self, name: str, *, expected: bool = False, at: datetime | None = None) -> None:
        """Say that the shard's process has ended."""
        at = at or utc_now()
        await self.registry.exits.report(
            ExitReport(
                shard=name, holder_prefix=f"{self.holder(name)}|", host="h", pid=1, expected=expected,
                code_text="exited", at=at, recent=() if expected else (at,),
            )
        )  # fmt: skip

    def holder(self, name: str) -> str:
        """How the shard's process signs its leases."""
        return f"{name}:install:{self.incarnations[name]}"

    async def sessions(self, count: int, *, up_on: str | None = None, first: int = 0) -> list[str]:
        """Make sessions: new ones, or ones that a shard runs."""
        ids, now = [f"s{number:05d}" for number in range(first, first + count)], utc_now()
        for session_id in ids:
            made = SessionRecord(
                session_id=session_id, workspace_id="w", user_id="u", created_at=now, status_at=now,
                status=SessionState.CONNECTED if up_on else SessionState.PENDING, runs_on=up_on, shard=up_on,
            )  # fmt: skip
            assert await self.registry.records.create(made)
        if up_on and ids:
            await self.registry.link.text.sadd(f"wa:shard:{{{up_on}}}:placed", *ids)
        return ids

    async def arrive(self) -> None:
        """Have every session run where it is placed, as the shards would do."""
        for session in await self.registry.records.summaries():
            if session.shard is not None:
                up = {"runs_on": session.shard, "status": SessionState.CONNECTED}
                await self.registry.records.write_wish(session.session_id, up)

    async def places(self) -> dict[str, str | None]:
        """Return where each record says that its session belongs."""
        return {session.session_id: session.shard for session in await self.registry.records.summaries()}

    async def check_sets(self, *names: str) -> None:
        """Fail unless the shards' sets of placements say exactly what the records say."""
        sets = await self.registry.records.placed_sets(names)
        places = await self.places()
        assert sets == {name: frozenset(i for i, shard in places.items() if shard == name) for name in names}


@asynccontextmanager
async def floor(redis_url: str, **coordinator: object) -> AsyncIterator[Floor]:
    """Give a floor on an empty Redis."""
    made = Floor(redis_url, **coordinator)
    await made.registry.link.text.flushdb()
    try:
        yield made
    finally:
        await made.registry.close()
