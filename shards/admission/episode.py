"""Says once that starts wait for the host, and once that they do not any more, however often the host changes."""

from collections.abc import Callable

import structlog

from daemon.core.clock import mono_s
from shards.admission.rules import Allowed, HostReading, Shortage, StartLimits

log = structlog.get_logger()

_OVER_AFTER_S = 10.0
_AGAIN_AFTER_S = 60.0


class Episode:
    """The present shortage, if there is one."""

    def __init__(self, limits: StartLimits, *, clock: Callable[[], float] = mono_s) -> None:
        self._limits = limits
        self._clock = clock
        self._shortage: Shortage | None = None
        self._last_mono_s = 0.0
        self._told_mono_s = {shortage: float("-inf") for shortage in Shortage}

    def waits(self, allowed: Allowed, reading: HostReading, *, waiting: int) -> None:
        """Note that somebody waits for what `allowed` says is short."""
        shortage, now_mono_s = allowed.shortage, self._clock()
        self._last_mono_s = now_mono_s
        if shortage is None or shortage is self._shortage or now_mono_s - self._told_mono_s[shortage] < _AGAIN_AFTER_S:
            return
        self._shortage = shortage
        self._told_mono_s[shortage] = now_mono_s
        if shortage is Shortage.MEMORY:
            log.warning(
                f"starts wait: the host has {reading.available_bytes // 1_000_000} MB left,"
                f" and {self._limits.min_free_memory_bytes // 1_000_000} MB must stay free",
                waiting=waiting,
            )
        else:
            log.warning(
                "starts go slowly on this host: its CPUs are saturated",
                at_once=allowed.starts,
                waiting=waiting,
                cpu_waited_share=round(reading.cpu_waited_share, 2),
                load_per_cpu=round(reading.load_per_cpu, 1),
                loop_lag_ms=round(reading.loop_lag_ms),
            )

    def flows(self) -> None:
        """Note that the host has enough at this moment."""
        if self._clock() - self._last_mono_s >= _OVER_AFTER_S:
            self.over()

    def over(self) -> None:
        """Note that nobody waits any more."""
        if self._shortage is not None:
            log.info("starts no longer wait for the host", shortage=self._shortage)
            self._shortage = None
