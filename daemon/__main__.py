"""`python -m daemon`: one coordinator."""

import asyncio
import sys

from daemon.core.entry import run_process
from daemon.core.exit_codes import ExitCode
from daemon.core.settings import Settings


def main() -> ExitCode:
    """Run a coordinator until it is told to stop; return its exit code."""
    return run_process("coordinator", _run)


def _run(settings: Settings) -> None:
    # Imported late so that a wrong setting is reported in a few milliseconds, before the web framework is loaded.
    from daemon.coordinator.process import Coordinator

    async def run() -> None:
        await Coordinator(settings).run()

    asyncio.run(run())


if __name__ == "__main__":
    sys.exit(main())
