"""A shortage is told once when it begins and once when it is over, however often readings change."""

import structlog.testing

from shards.admission.episode import Episode
from shards.admission.rules import Allowed, HostReading, Shortage, StartLimits

LIMITS = StartLimits(host_parallel_starts=4, session_memory_bytes=10**8, min_free_memory_bytes=512 * 10**6)
READING = HostReading(available_bytes=400 * 10**6, cpu_waited_share=0.95, load_per_cpu=12.0, loop_lag_ms=3.0)
MEMORY = Allowed(starts=0, shortage=Shortage.MEMORY)
CPU = Allowed(starts=1, shortage=Shortage.CPU)


class Told:
    def __init__(self) -> None:
        self.now_s = 1000.0
        self.episode = Episode(LIMITS, clock=lambda: self.now_s)

    def waits(self, allowed: Allowed) -> None:
        self.episode.waits(allowed, READING, waiting=7)


def test_one_line_at_the_beginning_and_one_at_the_end() -> None:
    told = Told()
    with structlog.testing.capture_logs() as logs:
        for _ in range(100):
            told.waits(MEMORY)
            told.now_s += 0.05
        told.episode.flows()  # one good reading is not the end of it
        told.waits(MEMORY)
        told.now_s += 10
        told.episode.flows()
        told.episode.flows()
    assert [entry["event"] for entry in logs] == [
        "starts wait: the host has 400 MB left, and 512 MB must stay free",
        "starts no longer wait for the host",
    ]


def test_a_shortage_that_comes_and_goes_is_told_once_a_minute() -> None:
    told = Told()
    with structlog.testing.capture_logs() as logs:
        for _ in range(60):
            told.waits(CPU)
            told.episode.over()
            told.now_s += 1
        told.waits(CPU)
    assert sum(entry["log_level"] == "warning" for entry in logs) == 2
