"""How many may start: memory can stop starts, the CPU only slows them down."""

from dataclasses import replace

import pytest

from daemon.core.sections import ShardSettings
from shards.admission.rules import (
    Allowed,
    HostReading,
    Shortage,
    StartLimits,
    allowed_starts,
    effective_capacity,
    is_full,
)
from shards.admission.start import start_limits

MB, GB = 10**6, 10**9
LIMITS = StartLimits(host_parallel_starts=8, session_memory_bytes=100 * MB, min_free_memory_bytes=500 * MB)


def reading(available_mb: int = 10_000, *, waited: float = 0.0, load: float = 0.0, lag_ms: float = 0.0) -> HostReading:
    return HostReading(
        available_bytes=available_mb * MB, cpu_waited_share=waited, load_per_cpu=load, loop_lag_ms=lag_ms
    )


def starts(seen: HostReading) -> tuple[int, Shortage | None]:
    allowed = allowed_starts(seen, LIMITS)
    return allowed.starts, allowed.shortage


@pytest.mark.parametrize(
    ("available_mb", "expected"),
    [
        (1300, (8, None)),
        (1299, (7, Shortage.MEMORY)),
        (600, (1, Shortage.MEMORY)),
        (599, (0, Shortage.MEMORY)),
        (0, (0, Shortage.MEMORY)),
    ],
)
def test_starts_fit_into_what_is_left_above_the_floor(available_mb: int, expected: object) -> None:
    assert starts(reading(available_mb)) == expected


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        (reading(waited=1.0, load=10.0), (1, Shortage.CPU)),
        (reading(waited=1.0, load=9.9), (8, None)),
        (reading(waited=0.89, load=50.0), (8, None)),
        (reading(lag_ms=250.0), (1, Shortage.CPU)),
        (reading(lag_ms=249.0), (8, None)),
        (reading(590, waited=1.0, load=50.0), (0, Shortage.MEMORY)),
    ],
)
def test_a_saturated_host_goes_on_with_one_at_a_time(seen: HostReading, expected: object) -> None:
    assert starts(seen) == expected


def test_a_full_host_needs_room_for_two_before_it_is_not_full() -> None:
    def full(available_mb: int, *, was_full: bool) -> bool:
        return is_full(available_bytes=available_mb * MB, limits=LIMITS, was_full=was_full)

    assert [full(599, was_full=False), full(600, was_full=False)] == [True, False]
    assert [full(699, was_full=True), full(700, was_full=True)] == [True, False]


@pytest.mark.parametrize(
    ("setting", "memory", "cpus", "count", "expected"),
    [
        (200, 24 * GB, 8, 2, 117),
        (200, 24 * GB, 2, 2, 100),
        (50, 24 * GB, 8, 2, 50),
        (200, 100 * GB, 64, 4, 200),
        (200, 24 * GB, 0.5, 1, 50),
        (200, GB, 2, 64, 1),
        (200, 0, 2, 1, 1),
    ],
)
def test_capacity_is_the_least_of_setting_memory_and_cpus(
    setting: int, memory: int, cpus: float, count: int, expected: int
) -> None:
    assert expected == effective_capacity(
        setting, host_memory_bytes=memory, host_cpus=cpus, shard_count=count, limits=LIMITS, sessions_per_cpu=100
    )


def test_a_small_machine_does_not_keep_all_of_its_memory_free() -> None:
    settings = ShardSettings(_env_file=None)
    assert start_limits(settings, 800 * MB, 2).min_free_memory_bytes == 100 * MB
    assert start_limits(settings, 64 * GB, 2).min_free_memory_bytes == settings.min_free_memory_bytes


@pytest.mark.parametrize(
    ("waited", "memory_mb", "expected"), [(0.49, 64_000, 8), (0.5, 64_000, 3), (1.0, 64_000, 3), (1.0, 700, 2)]
)
def test_a_busy_host_starts_a_few_at_once(waited: float, memory_mb: int, expected: int) -> None:
    limits = start_limits(ShardSettings(_env_file=None, HOST_PARALLEL_STARTS=8), 64 * GB, 2)
    limits = replace(limits, session_memory_bytes=100 * MB, min_free_memory_bytes=500 * MB)
    seen = replace(reading(memory_mb), cpu_waited_lately=waited)
    assert allowed_starts(seen, limits).starts == expected


@pytest.mark.parametrize(("cpus", "expected"), [(0.5, 1), (2.0, 2), (64.0, 8)])
def test_a_saturated_host_goes_on_with_one_for_each_cpu(cpus: float, expected: int) -> None:
    limits = start_limits(ShardSettings(_env_file=None, HOST_PARALLEL_STARTS=8), 64 * GB, cpus)
    assert limits.saturated_starts == expected
    assert allowed_starts(reading(64_000, waited=1.0, load=50.0), limits) == Allowed(
        starts=expected, shortage=Shortage.CPU
    )
