"""`PlatformDatabase`: which sessions Laravel's database says are connected."""

import asyncio
from concurrent.futures import Executor

import structlog

from daemon.core.sections import PlatformSettings
from daemon.platform.rows import Reading
from daemon.sessions.known import KnownSession

log = structlog.get_logger()

_NAMED = 5


class PlatformDatabase:
    """The platform's database. Makes no connection when created; every call makes one of its own and closes it."""

    def __init__(self, settings: PlatformSettings, executor: Executor) -> None:
        self._settings = settings
        self._executor = executor

    async def connected_sessions(self) -> list[KnownSession]:
        """Return the sessions that should run; rows that cannot be sessions are left out and logged.

        Raises:
            PlatformUnavailableError: nothing is known; try again.
            PlatformRefusedError: an operator must look.
        """
        reading = await asyncio.get_running_loop().run_in_executor(self._executor, _read, self._settings)
        if reading.skipped:
            log.warning("rows of the platform cannot be sessions", rows=reading.skipped, first=reading.examples)
        if reading.claimed:
            log.warning(
                "sessions are claimed by several users of the platform, and left out",
                sessions=len(reading.claimed),
                first=sorted(reading.claimed)[:_NAMED],
            )
        sessions = reading.unclaimed()
        log.info("platform read", connected=len(sessions))
        return sessions


def _read(settings: PlatformSettings) -> Reading:
    # Here, because SQLAlchemy takes 20 MB that no process needs which has no such database.
    from daemon.platform.reading import read_connected

    return read_connected(settings)
