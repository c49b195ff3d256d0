"""`python -m shards.exits` in conversation with a test in supervisord's place, on a real Redis."""

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from pydantic import SecretStr

from daemon.core.exit_codes import ExitCode
from daemon.core.sections import RedisSettings
from daemon.registry.exits import ExitReport, Exits
from daemon.registry.link import RedisLink
from shards.identity import ShardIdentity

ROOT = Path(__file__).parents[3]
LIMIT_S = 20.0


class Supervisor:
    """The other end of the listener's pipes."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        assert process.stdin is not None
        assert process.stdout is not None
        self.stdin, self.stdout = process.stdin, process.stdout

    async def heard(self, answer: bytes) -> None:
        """Read exactly this answer."""
        assert await asyncio.wait_for(self.stdout.readexactly(len(answer)), LIMIT_S) == answer

    async def send(self, text: str) -> None:
        """Send something once the listener is ready, and read that it has taken it."""
        await self.heard(b"READY\n")
        self.stdin.write(text.encode())
        await self.heard(b"RESULT 2\nOK")

    async def event(self, state: str, payload: str) -> None:
        """Send one event."""
        header = f"ver:3.0 server:supervisor serial:1 pool:exits poolserial:1 eventname:PROCESS_STATE_{state}"
        await self.send(f"{header} len:{len(payload)}\n{payload}")


@pytest.fixture
async def exits(redis_url: str) -> AsyncIterator[Exits]:
    async with RedisLink(RedisSettings(REDIS_URL=SecretStr(redis_url), REDIS_TIMEOUT_MS=2000)) as link:
        await link.text.flushall()
        yield Exits(link)


async def start(redis_url: str, home: Path, **environment: str) -> asyncio.subprocess.Process:
    with (home / "exits.log").open("wb") as log:
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "shards.exits"),
            cwd=home,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=log,
            env={
                "PATH": os.environ["PATH"],
                "PYTHONPATH": str(ROOT),
                "DATA_ROOT": str(home),
                "REDIS_URL": redis_url,
                "API_TOKEN": "test-token-of-many-characters",
                "R2_ENDPOINT": "http://127.0.0.1:9",
                "R2_ACCESS_KEY_ID": "a",
                "R2_SECRET_ACCESS_KEY": "b",
                **environment,
            },
        )


@pytest.fixture
async def supervisor(redis_url: str, exits: Exits, tmp_path: Path) -> AsyncIterator[Supervisor]:
    process = await start(redis_url, tmp_path, SUPERVISOR_ENABLED="1")
    yield Supervisor(process)
    if process.returncode is None:
        process.kill()
    await process.wait()


async def dead_shard(home: Path, name: str = "shard_00") -> int:
    """Leave what a dead process of a shard leaves; return its number."""
    process = await asyncio.create_subprocess_exec("true")
    await process.wait()
    with ShardIdentity(name, home / "run"):
        pass
    (home / "run" / f"{name}.lock").write_text(f"{process.pid}-abcd")
    return process.pid


async def report(exits: Exits, accept: Callable[[ExitReport], bool], shard: str = "shard_00") -> ExitReport:
    deadline_mono_s = time.monotonic() + LIMIT_S
    while True:
        found = (await exits.all([shard])).get(shard)
        if found is not None and accept(found):
            return found
        assert time.monotonic() < deadline_mono_s, f"no such report: {found}"
        await asyncio.sleep(0.02)


async def test_a_shard_that_dies_while_starting_until_supervisord_gives_up(
    supervisor: Supervisor, exits: Exits, tmp_path: Path
) -> None:
    pid = await dead_shard(tmp_path)
    for tries in (1, 2):
        await supervisor.event("BACKOFF", f"processname:shard_00 groupname:shard from_state:STARTING tries:{tries}")
        found = await report(exits, lambda found, tries=tries: len(found.recent) == tries)  # type: ignore[misc]
        assert not found.expected
        assert found.holder_prefix.endswith(f":{pid}-abcd|")
    await supervisor.event("FATAL", "processname:shard_00 groupname:shard from_state:BACKOFF")
    found = await report(exits, lambda found: "given up" in found.code_text)
    assert not found.expected
    assert len(found.recent) == 2


async def test_what_cannot_be_read_is_acknowledged_and_the_next_event_is_reported(
    supervisor: Supervisor, exits: Exits, tmp_path: Path
) -> None:
    pid = await dead_shard(tmp_path)
    await supervisor.event("EXITED", "no such thing")
    await supervisor.event("EXITED", f"processname:shard_00 groupname:shard from_state:RUNNING expected:0 pid:{pid}")
    assert (await report(exits, lambda _: True)).pid == pid
    assert "event cannot be read" in (tmp_path / "exits.log").read_text()


async def test_an_event_without_a_length_is_acknowledged_and_a_new_process_is_asked_for(
    supervisor: Supervisor, tmp_path: Path
) -> None:
    await supervisor.send("ver:3.0 eventname:PROCESS_STATE_EXITED\n")
    assert await asyncio.wait_for(supervisor.process.wait(), LIMIT_S) == 0
    assert "cannot follow supervisord" in (tmp_path / "exits.log").read_text()


async def test_it_ends_with_its_stdin_and_reports_what_it_has_taken(
    supervisor: Supervisor, exits: Exits, tmp_path: Path
) -> None:
    pid = await dead_shard(tmp_path)
    await supervisor.event("STOPPED", f"processname:shard_00 groupname:shard from_state:STOPPING pid:{pid}")
    supervisor.stdin.close()
    assert await asyncio.wait_for(supervisor.process.wait(), LIMIT_S) == 0
    assert (await exits.all(["shard_00"]))["shard_00"].expected


async def test_many_shards_at_once_are_all_reported(supervisor: Supervisor, exits: Exits, tmp_path: Path) -> None:
    pids = {name: await dead_shard(tmp_path, name) for name in (f"shard_{i:02d}" for i in range(30))}
    for name, pid in pids.items():
        await supervisor.event("STOPPED", f"processname:{name} groupname:shard from_state:STOPPING pid:{pid}")
    for name, pid in pids.items():
        assert (await report(exits, lambda _: True, name)).pid == pid


async def test_started_by_hand_it_says_who_starts_it(redis_url: str, tmp_path: Path) -> None:
    process = await start(redis_url, tmp_path)
    assert await asyncio.wait_for(process.wait(), LIMIT_S) == ExitCode.CONFIG
    assert "supervisord alone" in (tmp_path / "exits.log").read_text()
