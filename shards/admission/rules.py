"""How many sessions may be starting on this host at one moment. Pure."""

from dataclasses import dataclass
from enum import StrEnum


class Shortage(StrEnum):
    """What the host has too little of."""

    MEMORY = "memory"
    CPU = "cpu"


@dataclass(frozen=True, kw_only=True)
class StartLimits:
    """What the operator allows."""

    host_parallel_starts: int
    session_memory_bytes: int
    min_free_memory_bytes: int
    busy_share: float = 0.5
    """From this share of time on in which some task waits for a CPU, more starts at once only make each dearer."""
    busy_starts: int = 256
    """How many may be under way then. While pages wait for the network, and the CPUs rest, all are allowed."""
    waited_share: float = 0.9
    """From this share of time on in which some task waits for a CPU; the starts alone come near it, so it is not
    enough: the queue for the CPUs must be long as well."""
    load_per_cpu: float = 10.0
    """From this length of the queue on; more than HOST_PARALLEL_STARTS make by themselves."""
    saturated_starts: int = 1
    """How many may be under way on a saturated host: with one alone its CPUs would rest while a page waits."""
    lag_ms: float = 250.0
    """From this delay on of the shard's own event loop, sessions that run already suffer, whatever the host says."""


@dataclass(frozen=True, kw_only=True)
class HostReading:
    """What the host shows at one moment."""

    available_bytes: int
    """Memory that can still be had, within the limit of our cgroup if there is one."""
    cpu_waited_share: float
    """Share of the last seconds in which some task was ready and had no CPU, 0 to 1; 1 if the kernel does not tell."""
    load_per_cpu: float
    """Tasks that run or want to, for each CPU, averaged over a minute."""
    loop_lag_ms: float
    """Largest delay of this shard's event loop of late."""
    cpu_waited_lately: float = 0.0
    """As `cpu_waited_share`, of the last half second."""


@dataclass(frozen=True, kw_only=True)
class Allowed:
    """How many may be starting at once on this host, and what keeps it from being more."""

    starts: int
    shortage: Shortage | None = None


def allowed_starts(reading: HostReading, limits: StartLimits) -> Allowed:
    """Return how many sessions may be starting on this host, those that start already included.

    Too little memory stops all starts, because more of them would take running sessions along. A saturated host goes
    on with few at a time: it may be saturated for good by somebody else, and then every session must still come.
    """
    spare_bytes = reading.available_bytes - limits.min_free_memory_bytes
    by_memory = max(0, spare_bytes // limits.session_memory_bytes)
    if by_memory == 0:
        return Allowed(starts=0, shortage=Shortage.MEMORY)
    if is_saturated(reading, limits):
        return Allowed(starts=min(limits.saturated_starts, by_memory), shortage=Shortage.CPU)
    starts = limits.host_parallel_starts
    if reading.cpu_waited_lately >= limits.busy_share:
        starts = min(starts, limits.busy_starts)
    if by_memory < starts:
        return Allowed(starts=by_memory, shortage=Shortage.MEMORY)
    return Allowed(starts=starts)


def is_saturated(reading: HostReading, limits: StartLimits) -> bool:
    """Whether more starts at once would take the CPU from sessions that run."""
    waits = reading.cpu_waited_share >= limits.waited_share and reading.load_per_cpu >= limits.load_per_cpu
    return waits or reading.loop_lag_ms >= limits.lag_ms


def is_full(*, available_bytes: int, limits: StartLimits, was_full: bool) -> bool:
    """Whether the host has no room for more sessions; once full, it must have room for two before it is not."""
    needed = 2 if was_full else 1
    return available_bytes < limits.min_free_memory_bytes + needed * limits.session_memory_bytes


def effective_capacity(
    setting: int,
    *,
    host_memory_bytes: int,
    host_cpus: float,
    shard_count: int,
    limits: StartLimits,
    sessions_per_cpu: int,
) -> int:
    """Return how many sessions one of `shard_count` shards can hold: at most `setting`, and never less than one."""
    by_memory = (host_memory_bytes - limits.min_free_memory_bytes) / shard_count / limits.session_memory_bytes
    by_cpu = host_cpus / shard_count * sessions_per_cpu
    return max(1, min(setting, int(by_memory), int(by_cpu)))
