"""A shard as far as starts go: enters the admission with some sessions, says what it holds, leaves on command.

Run as `python starter.py <directory> <host limit> <sessions>`; writes one JSON line for each admission, and reads lines
from its standard input: `leave` gives the oldest slot back, `child` begins a child process and says its id.
"""

import asyncio
import json
import sys
from asyncio.subprocess import DEVNULL
from pathlib import Path

from shards.admission.admission import Admission, Slot
from shards.admission.host_slots import HostSlots
from shards.admission.rules import HostReading, StartLimits

PLENTY = HostReading(available_bytes=10**12, cpu_waited_share=0.0, load_per_cpu=0.0, loop_lag_ms=0.0)


def say(**fields: object) -> None:
    print(json.dumps(fields), flush=True)


async def main(directory: str, host_limit: str, sessions: str) -> None:
    limits = StartLimits(host_parallel_starts=int(host_limit), session_memory_bytes=1, min_free_memory_bytes=0)
    slots = HostSlots(Path(directory), stuck_after_s=600)
    admission = Admission(slots, limits, parallel_starts=100, read=lambda: PLENTY)
    held: list[Slot] = []

    async def one(number: int) -> None:
        held.append(await admission.enter(f"s{number}", active_at=None))
        say(admitted=number)

    async with asyncio.TaskGroup() as tasks:
        for number in range(int(sessions)):
            tasks.create_task(one(number))
        say(ready=True)
        while line := await asyncio.to_thread(sys.stdin.readline):
            if line.strip() == "leave":
                held.pop(0).leave()
            else:
                child = await asyncio.create_subprocess_exec("sleep", "60", stdin=DEVNULL, stdout=DEVNULL)
                say(child=child.pid)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
