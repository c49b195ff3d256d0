"""Several processes share the start slots of one host, and one that is killed gives its own back."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from shards.admission.host_slots import HostSlots

STARTER = Path(__file__).with_name("starter.py")
ROOT = Path(__file__).parents[3]
DEADLINE_S = 30.0


class Starter:
    """One process that starts sessions."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.admitted: list[int] = []
        self.children: list[int] = []
        self.ready = False
        self._reading = asyncio.create_task(self._read())

    async def _read(self) -> None:
        assert self.process.stdout
        async for line in self.process.stdout:
            said = json.loads(line)
            self.ready = self.ready or "ready" in said
            self.admitted += [said["admitted"]] if "admitted" in said else []
            self.children += [said["child"]] if "child" in said else []

    async def tell(self, word: str) -> None:
        assert self.process.stdin
        self.process.stdin.write(f"{word}\n".encode())
        await self.process.stdin.drain()

    async def kill(self) -> None:
        if self.process.returncode is None:
            self.process.send_signal(signal.SIGKILL)
        await self.process.wait()
        await self._reading


class Host:
    """Processes with one directory of slots."""

    def __init__(self, directory: Path, limit: int) -> None:
        self.directory = directory
        self.limit = limit
        self.slots = HostSlots(directory, stuck_after_s=600)
        self.starters: list[Starter] = []

    async def start(self, sessions: int) -> Starter:
        arguments = (str(STARTER), str(self.directory), str(self.limit), str(sessions))
        starter = Starter(
            await asyncio.create_subprocess_exec(
                sys.executable, *arguments, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)},
                stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
            )
        )  # fmt: skip
        self.starters.append(starter)
        return starter

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(DEADLINE_S):
            while not condition():
                assert self.slots.under_way() <= self.limit
                await asyncio.sleep(0.01)


@pytest.fixture
async def host(tmp_path: Path) -> AsyncIterator[Host]:
    made = Host(tmp_path / "starts", limit=3)
    yield made
    for starter in made.starters:
        await starter.kill()
        for child in starter.children:
            os.kill(child, signal.SIGKILL)


async def test_the_slots_of_a_killed_process_are_free_at_once(host: Host) -> None:
    first = await host.start(sessions=3)
    await host.until(lambda: len(first.admitted) == 3)
    await first.tell("child")  # as a Chromium that outlives its shard for a moment
    await host.until(lambda: len(first.children) == 1)
    second = await host.start(sessions=3)
    await host.until(lambda: second.ready)
    assert second.admitted == [] and host.slots.under_way() == 3
    await first.kill()
    await host.until(lambda: len(second.admitted) == 3)
    os.kill(first.children[0], 0)  # it lives, and kept no slot
    assert host.slots.under_way() == 3


async def test_many_processes_never_exceed_the_limit_and_all_of_them_get_their_turn(host: Host) -> None:
    starters = [await host.start(sessions=5) for _ in range(4)]
    left = dict.fromkeys(range(len(starters)), 0)
    while sum(left.values()) < 20:
        await host.until(lambda: any(len(one.admitted) > left[i] for i, one in enumerate(starters)))
        for i, one in enumerate(starters):
            for _ in range(len(one.admitted) - left[i]):
                left[i] += 1
                await one.tell("leave")
    assert [sorted(one.admitted) for one in starters] == [list(range(5))] * 4
    await host.until(lambda: host.slots.under_way() == 0)
