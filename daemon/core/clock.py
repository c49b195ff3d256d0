"""The clocks: UTC for what people read, monotonic for intervals and time limits, boot time for leases."""

import time
from datetime import UTC, datetime


def utc_now() -> datetime:
    """Return the present time in UTC."""
    return datetime.now(UTC)


def mono_s() -> float:
    """Return monotonic seconds, good only for differences inside one process."""
    return time.monotonic()


def boot_s() -> float:
    """Return seconds since the host was booted, time asleep included.

    Leases count on it, because Redis' clock goes on while this host sleeps; all processes of a host read the same.
    """
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def iso(at: datetime) -> str:
    """Return a UTC time as ISO 8601 with milliseconds and `Z`."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def parse_iso(text: str) -> datetime:
    """Return the UTC time that `iso` wrote.

    Raises:
        ValueError: not such a text.
    """
    return datetime.fromisoformat(text).astimezone(UTC)
