"""Makes the admission of this shard, and its capacity, from the settings and the host that it runs on."""

from collections.abc import Callable

from daemon.core.settings import Settings
from shards.admission.admission import Admission
from shards.admission.host import Host
from shards.admission.host_slots import HostSlots
from shards.admission.rules import HostReading, StartLimits, effective_capacity

_MOST_KEPT_FREE = 8


def start_limits(settings: Settings, host: Host) -> StartLimits:
    """Return what the operator allows on this host."""
    shard = settings.shard
    return StartLimits(
        host_parallel_starts=shard.host_parallel_starts,
        session_memory_bytes=shard.session_memory_bytes,
        # On a small machine the default would keep everything free and nothing would ever start.
        min_free_memory_bytes=min(shard.min_free_memory_bytes, host.memory_bytes // _MOST_KEPT_FREE),
    )


def admission_of(settings: Settings, host: Host, *, loop_lag_ms: Callable[[], float]) -> Admission:
    """Return the admission of one shard; all shards with this DATA_ROOT share the slots of the host.

    Raises:
        OSError: the directory of the slots cannot be made.
    """

    def read() -> HostReading:
        return HostReading(
            available_bytes=host.available_bytes(),
            cpu_waited_share=host.cpu_waited_share(),
            load_per_cpu=host.load_per_cpu(),
            loop_lag_ms=loop_lag_ms(),
        )

    return Admission(
        HostSlots(
            settings.paths.run_dir / "starts",
            # A start that takes longer than a page may take waits for a store, or its process was stopped.
            stuck_after_s=settings.browser.start_timeout_ms / 1000,
        ),
        start_limits(settings, host),
        parallel_starts=settings.shard.parallel_starts,
        read=read,
    )


def capacity_of(settings: Settings, host: Host) -> int:
    """Return how many sessions this shard can hold on this host."""
    return effective_capacity(
        settings.shard.capacity,
        host_memory_bytes=host.memory_bytes,
        host_cpus=host.cpus,
        shard_count=settings.shard.count,
        limits=start_limits(settings, host),
        sessions_per_cpu=settings.shard.sessions_per_cpu,
    )
