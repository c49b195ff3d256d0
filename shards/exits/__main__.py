"""`python -m shards.exits`: the event listener `exits` of supervisord.conf; supervisord alone can start it."""

import asyncio
import sys

from daemon.core.entry import run_process
from daemon.core.settings import Settings


def _run(settings: Settings) -> None:
    # Imported late so that a wrong setting is reported before the Redis client is loaded.
    from shards.exits.listener import listen

    asyncio.run(listen(settings))


if __name__ == "__main__":
    sys.exit(run_process("exits", _run))
