"""One shard as far as everything in Redis tells: its heartbeat, how its last process ended, and its drain. Pure."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from daemon.registry.drains import Drain
from daemon.registry.exits import ExitReport
from daemon.registry.incarnations import Incarnation, incarnation_of
from daemon.registry.membership import ShardView

_COOLS_AT_MOST = timedelta(minutes=6)


@dataclass(frozen=True, kw_only=True)
class SeenShard(ShardView):
    """A shard's heartbeat with what else is known of it."""

    exit: ExitReport | None = None
    last: Incarnation | None = None
    """Its last known process, also when that is silent now."""
    drain: Drain | None = None

    @property
    def process(self) -> Incarnation | None:
        """The process that the heartbeat is of, or the last one known."""
        return incarnation_of(self.heartbeat) if self.heartbeat else self.last

    @property
    def ended(self) -> bool:
        """Whether the exit report is about its last known process: that is dead, whatever its heartbeat says."""
        process = self.process
        return process is not None and self.exit is not None and is_end_of(self.exit, process)

    @property
    def alive(self) -> bool:
        """Whether its heartbeat is there, and the process that wrote it has not ended since."""
        return self.heartbeat is not None and not self.ended

    @property
    def crashed(self) -> bool:
        """Whether it is known to have ended without having been told to."""
        return self.ended and self.exit is not None and not self.exit.expected

    @property
    def dead_holder(self) -> str:
        """What the leases begin with that certainly nobody holds any more; empty when nothing is known."""
        if self.exit is None or not self.exit.holder_prefix:
            return ""
        # A prefix with a number alone may also be that of a later process, which got the same number; that one may be
        # silent now and still hold its leases.
        exact = self.exit.holder_prefix.endswith("|")
        another = self.process is not None and not self.process.incarnation.startswith(f"{self.exit.pid}-")
        return self.exit.holder_prefix if exact or self.ended or another else ""

    def cools(self, now: datetime) -> bool:
        """Whether it has crashed lately and should get nothing new for a while.

        The time is of the shard's host: one that lies absurdly far ahead comes from a clock that is wrong, and counts
        as no time at all.
        """
        until = self.exit.cools_until() if self.exit else None
        return until is not None and timedelta() < until - now <= _COOLS_AT_MOST


def is_end_of(report: ExitReport, process: Incarnation) -> bool:
    """Whether a report is about the end of this very process."""
    if report.holder_prefix.endswith("|"):
        return report.holder_prefix.endswith(f":{process.incarnation}|")
    if report.host != process.host or not report.pid:
        return False
    # Numbers of processes come again, in containers soon: one that began after the report is another one.
    return process.incarnation.startswith(f"{report.pid}-") and process.started_at <= report.at
