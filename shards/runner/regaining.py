"""Writing a running session into Redis again after Redis had lost it: its record at once, then its hot copy."""

import asyncio

import structlog

from daemon.core.errors import SessionNotFoundError, StaleTokenError
from daemon.core.loops import cancel_all
from daemon.sessions.states import LOGGED_IN
from shards.runner.finish import Run

log = structlog.get_logger()


class Regaining:
    """What one session writes again."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._tasks: set[asyncio.Task[None]] = set()

    def begin(self) -> None:
        """Redis gave the lease back that it had lost: everything else of the session is lost as well."""
        self._run.notes.lost()
        self._run.copier.forget_redis()
        task = asyncio.create_task(self._write_again())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _write_again(self) -> None:
        run = self._run
        try:
            # What is not written now is written at the runner's next look.
            if await run.notes.flush() and run.browser.is_open and run.notes.record.status in LOGGED_IN:
                await run.backups.on_login()
        except (StaleTokenError, SessionNotFoundError) as error:
            log.error("session not written again", code=error.code, error=str(error))

    async def end(self) -> None:
        """Stop writing."""
        await cancel_all(self._tasks)
