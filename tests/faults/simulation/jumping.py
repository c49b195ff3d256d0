"""A wall clock that jumps in one simulated process. Monotonic and boot time cannot jump, here as anywhere."""

import mmap
import struct
from datetime import datetime, timedelta, tzinfo
from pathlib import Path
from typing import Any

import daemon.core.clock

_SECONDS = struct.Struct("d")


def make_clock(path: Path) -> None:
    """Make the file that tells a process how wrong its clock is: not at all."""
    path.write_bytes(_SECONDS.pack(0.0))


def jump(path: Path, seconds: float) -> None:
    """Set how far the clock of the process of this file is ahead."""
    with path.open("r+b") as file:
        file.write(_SECONDS.pack(seconds))


def let_jump(path: Path) -> None:
    """Have this process take its wall clock from the host's and this file."""
    with path.open("rb") as file:
        ahead = mmap.mmap(file.fileno(), _SECONDS.size, access=mmap.ACCESS_READ)

    class Jumping(datetime):
        """`datetime` whose present can jump."""

        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Any:
            """Return the time that this process believes in."""
            return datetime.now(tz) + timedelta(seconds=_SECONDS.unpack(ahead[:])[0])

    daemon.core.clock.datetime = Jumping  # type: ignore[misc]  # the one source of wall time
