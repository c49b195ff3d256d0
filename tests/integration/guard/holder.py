"""A process that holds a session with a guard, to be stopped, stalled and killed: `python -m ...holder ROOT SESSION S`.

It holds the session for S seconds from each line on its standard input; `stall N` blocks its event loop.
"""

import asyncio
import sys
import time
from pathlib import Path

from daemon.core.clock import boot_s
from shards.guard.link import Guard


async def hold(root: Path, session_id: str, seconds: float) -> None:
    guard = Guard(
        shard="shard_00", notes_dir=root / "notes", sessions_dir=root / "sessions", lock=root / "shard_00.lock"
    )
    guard.start()
    guard.hold({session_id: boot_s() + seconds})
    print(f"guard {guard.pid or 0}", flush=True)
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        match line.split():
            case ["hold"]:
                guard.hold({session_id: boot_s() + seconds})
            case ["drop"]:
                guard.drop(session_id)
            case ["stall", stall_s]:
                time.sleep(float(stall_s))  # noqa: ASYNC251  # a stalled event loop is what is tried
            case ["pid"]:
                print(f"guard {guard.pid or 0}", flush=True)
    await guard.close()


if __name__ == "__main__":
    asyncio.run(hold(Path(sys.argv[1]), sys.argv[2], float(sys.argv[3])))
