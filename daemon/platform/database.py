"""`PlatformDatabase`: which sessions Laravel's database says are connected."""

from concurrent.futures import Executor

from daemon.core.sections import PlatformSettings
from daemon.sessions.known import KnownSession


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
        raise NotImplementedError
