"""What this process has asked of the object store, counted in the classes that R2 bills by.

Class A: writes and lists. Class B: reads. Deletes are free. Requests repeated inside urllib3 count once.
"""

import threading
from dataclasses import dataclass, replace


@dataclass(frozen=True, kw_only=True)
class Usage:
    """Counts since the process began."""

    class_a: int = 0
    class_b: int = 0
    deletes: int = 0
    sent_bytes: int = 0
    received_bytes: int = 0


class UsageCounter:
    """Counts; may be used from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._usage = Usage()

    def add(self, **more: int) -> None:
        """Add to the counts named as the fields of `Usage`."""
        with self._lock:
            sums = {name: getattr(self._usage, name) + count for name, count in more.items()}
            self._usage = replace(self._usage, **sums)

    def read(self) -> Usage:
        """Return the counts of this moment."""
        return self._usage
