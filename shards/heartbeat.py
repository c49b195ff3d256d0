"""The shard's heartbeat, written by the event loop that does the work, so a stalled loop shows as a gone shard.

The memory of the Chromiums is not in it: to read it takes longer than a beat may, and what counts for placement is what
the host has left, which is one small file.
"""

import asyncio
import os
from collections.abc import Callable

import psutil

from daemon.core.clock import utc_now
from daemon.core.errors import RedisUnavailableError
from daemon.core.loops import run_every
from daemon.core.sections import ShardSettings
from daemon.registry.membership import Heartbeat, Membership
from shards.admission.rules import is_full
from shards.admission.start import Starts
from shards.identity import ShardIdentity


class HeartbeatLoop:
    """Beats until told to stop, then says farewell."""

    def __init__(
        self,
        membership: Membership,
        identity: ShardIdentity,
        settings: ShardSettings,
        starts: Starts,
        *,
        count_sessions: Callable[[], int],
    ) -> None:
        self._membership = membership
        self._identity = identity
        self._settings = settings
        self._starts = starts
        self._count_sessions = count_sessions
        self._started_at = utc_now()
        self._process = psutil.Process()
        self._wake = asyncio.Event()
        self._stopping = False
        self._full = False

    async def run(self, stop: asyncio.Event) -> None:
        """Beat every interval, also while Redis is away: a shard that is late to be seen again loses its sessions."""
        interval_s = self._settings.heartbeat_interval_ms / 1000
        await run_every(interval_s, self.beat, name="heartbeat", stop=stop, wake=self._wake, max_backoff_s=interval_s)

    def tell_stopping(self) -> None:
        """Say at once, and from now on, that this shard takes nothing new."""
        self._stopping = True
        self._wake.set()

    async def beat(self) -> None:
        """Write one heartbeat.

        Raises:
            RedisUnavailableError: not written; the next beat comes anyway.
        """
        await self._membership.beat(self._present(), ttl_ms=self._settings.heartbeat_ttl_ms)

    def _present(self) -> Heartbeat:
        starts = self._starts
        available_bytes = starts.host.available_bytes()
        self._full = is_full(available_bytes=available_bytes, limits=starts.limits, was_full=self._full)
        return Heartbeat(
            name=self._identity.name,
            host=self._identity.host,
            pid=os.getpid(),
            incarnation=self._identity.incarnation,
            started_at=self._started_at,
            at=utc_now(),
            sessions=self._count_sessions(),
            capacity=starts.capacity,
            loop_lag_ms=round(starts.loop_lag.take_ms(), 2),
            rss_bytes=self._process.memory_info().rss,
            cpu_percent=round(self._process.cpu_percent(), 1),
            starting=starts.admission.active,
            waiting=starts.admission.waiting,
            stopping=self._stopping,
            full=self._full,
            host_cpus=round(starts.host.cpus, 2),
            host_memory_bytes=starts.host.memory_bytes,
            host_available_bytes=available_bytes,
        )

    async def farewell(self) -> None:
        """Remove the heartbeat, so that nobody waits for its TTL."""
        try:
            await self._membership.leave(self._identity.name)
        except RedisUnavailableError:
            return  # it runs out by itself
