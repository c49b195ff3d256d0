"""The two clocks: UTC for what people read, monotonic for every interval and deadline."""

import time
from datetime import UTC, datetime


def utc_now() -> datetime:
    """Return the present time in UTC."""
    return datetime.now(UTC)


def mono_s() -> float:
    """Return monotonic seconds, good only for differences inside one process."""
    return time.monotonic()


def iso(at: datetime) -> str:
    """Return a UTC time as ISO 8601 with milliseconds and `Z`."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def parse_iso(text: str) -> datetime:
    """Return the UTC time that `iso` wrote.

    Raises:
        ValueError: not such a text.
    """
    return datetime.fromisoformat(text).astimezone(UTC)
