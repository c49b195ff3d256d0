"""The shard's heartbeat, written by the event loop that does the work, so a stalled loop shows as a gone shard."""

import asyncio
import os
from collections.abc import Callable

import psutil

from daemon.core.clock import mono_s, utc_now
from daemon.core.errors import RedisUnavailableError
from daemon.core.loops import run_every
from daemon.registry.membership import Heartbeat, Membership
from shards.identity import ShardIdentity


class HeartbeatLoop:
    """Beats until told to stop, then says farewell."""

    def __init__(
        self,
        membership: Membership,
        identity: ShardIdentity,
        *,
        capacity: int,
        interval_s: float,
        ttl_ms: int,
        count_sessions: Callable[[], int],
    ) -> None:
        self._membership = membership
        self._identity = identity
        self._capacity = capacity
        self._interval_s = interval_s
        self._ttl_ms = ttl_ms
        self._count_sessions = count_sessions
        self._started_at = utc_now()
        self._process = psutil.Process()

    async def run(self, stop: asyncio.Event) -> None:
        """Beat every interval."""
        await run_every(self._interval_s, self.beat, name="heartbeat", stop=stop)

    async def beat(self) -> None:
        """Write one heartbeat.

        Raises:
            RedisUnavailableError: not written; the next beat comes anyway.
        """
        await self._membership.beat(
            Heartbeat(
                name=self._identity.name,
                host=self._identity.host,
                pid=os.getpid(),
                incarnation=self._identity.incarnation,
                started_at=self._started_at,
                at=utc_now(),
                sessions=self._count_sessions(),
                capacity=self._capacity,
                loop_lag_ms=round(await _loop_lag_ms(), 2),
                rss_bytes=self._process.memory_info().rss,
            ),
            ttl_ms=self._ttl_ms,
        )

    async def farewell(self) -> None:
        """Remove the heartbeat, so that nobody waits for its TTL."""
        try:
            await self._membership.leave(self._identity.name)
        except RedisUnavailableError:
            return  # it runs out by itself


async def _loop_lag_ms() -> float:
    began = mono_s()
    await asyncio.sleep(0)
    return (mono_s() - began) * 1000
