"""Makes the admission of this shard, and its capacity, from the settings and the host that it runs on."""

from dataclasses import dataclass

from daemon.core.sections import ShardSettings
from daemon.core.settings import Settings
from shards.admission.admission import Admission
from shards.admission.host import Host
from shards.admission.host_slots import HostSlots
from shards.admission.rules import HostReading, StartLimits, effective_capacity
from shards.loop_lag import LoopLag

_LARGEST_PART_KEPT_FREE = 8
_BUSY_STARTS_PER_CPU = 1.5
"""Measured with bench.restore: with 4 for each CPU the same start takes a tenth more processor time."""


@dataclass(frozen=True, kw_only=True)
class Starts:
    """Everything that decides about starts on this shard."""

    host: Host
    limits: StartLimits
    admission: Admission
    capacity: int
    """How many sessions this shard can hold on this host; the same until it ends, so that placements are stable."""
    loop_lag: LoopLag


def starts_of(settings: Settings) -> Starts:
    """Look at the host and return what it means for this shard.

    Raises:
        OSError: the directory of the host's start slots cannot be made.
    """
    host, loop_lag = Host(), LoopLag()
    limits = start_limits(settings.shard, host.memory_bytes, host.cpus)
    capacity = effective_capacity(
        settings.shard.capacity,
        host_memory_bytes=host.memory_bytes,
        host_cpus=host.cpus,
        shard_count=settings.shard.count,
        limits=limits,
        sessions_per_cpu=settings.shard.sessions_per_cpu,
    )
    admission = _admission(settings, limits, host, loop_lag)
    return Starts(host=host, limits=limits, admission=admission, capacity=capacity, loop_lag=loop_lag)


def start_limits(shard: ShardSettings, host_memory_bytes: int, host_cpus: float) -> StartLimits:
    """Return what the operator allows on a host with so much memory and so many CPUs."""
    return StartLimits(
        host_parallel_starts=shard.host_parallel_starts,
        session_memory_bytes=shard.session_memory_bytes,
        busy_starts=max(2, round(_BUSY_STARTS_PER_CPU * host_cpus)),
        saturated_starts=max(1, min(shard.host_parallel_starts, int(host_cpus))),
        # On a small machine the default would keep everything free and nothing would ever start.
        min_free_memory_bytes=min(shard.min_free_memory_bytes, host_memory_bytes // _LARGEST_PART_KEPT_FREE),
    )


def _admission(settings: Settings, limits: StartLimits, host: Host, loop_lag: LoopLag) -> Admission:
    def read() -> HostReading:
        return HostReading(
            available_bytes=host.available_bytes(),
            cpu_waited_share=host.cpu_waited_share(),
            load_per_cpu=host.load_per_cpu(),
            loop_lag_ms=loop_lag.recent_ms,
            cpu_waited_lately=host.cpu_waited_lately(),
        )

    # A start that takes longer than a page may take waits for a store, or its process was stopped.
    slots = HostSlots(settings.paths.run_dir / "starts", stuck_after_s=settings.browser.start_timeout_ms / 1000)
    return Admission(slots, limits, parallel_starts=settings.shard.parallel_starts, read=read)
