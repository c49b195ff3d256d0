"""The shard that dies at a step really dies there, and never waits for a step that does not exist."""

import asyncio
import signal
import sys
from pathlib import Path

import pytest

from daemon.core.exit_codes import ExitCode
from tests.integration.house.house import ROOT, TOKEN

SETTINGS = {
    "REDIS_URL": "unix:///nowhere",
    "R2_ENDPOINT": "http://127.0.0.1:1",
    "R2_ACCESS_KEY_ID": "access",
    "R2_SECRET_ACCESS_KEY": "secret",
    "API_TOKEN": TOKEN,
    "CHROMIUM_PATH": "/nowhere",
}


async def run(note: Path, *arguments: str) -> tuple[int | None, str]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.faults.dying_shard", "--note", str(note), *arguments),
        env={"PYTHONPATH": str(ROOT), "DATA_ROOT": str(note.parent), **SETTINGS},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await asyncio.wait_for(process.communicate(), 30)
    return process.returncode, output.decode()


@pytest.mark.parametrize(
    "step",
    [
        "before shards.archive.pack:no_such_function",
        "before shards.no_such_room:pack",
        "after shards.process:ShardProcess",
        "after shards.profile.layout:ShardLayout.temporary_",
        "amid shards.archive.pack:pack",
        "before shards.archive.pack",
    ],
)
async def test_a_step_that_is_not_there_ends_the_process_at_once(tmp_path: Path, step: str) -> None:
    code, output = await run(tmp_path / "note", "--step", step, "--", "--name", "shard_00")
    assert (code, "dying_shard: " in output) == (ExitCode.USAGE, True), output
    assert not (tmp_path / "note").exists()


@pytest.mark.parametrize(
    "steps",
    [
        ["before daemon.core.entry:run_process"],
        ["before os:mkdir ~run", "before shards.process:ShardProcess.run"],
    ],
)
async def test_it_dies_at_its_step(tmp_path: Path, steps: list[str]) -> None:
    words = [word for step in steps for word in ("--step", step)]
    code, output = await run(tmp_path / "note", *words, "--", "--name", "shard_00")
    assert code == -signal.SIGKILL, output
    assert (tmp_path / "note").exists()


async def test_it_does_not_die_before_it_is_armed(tmp_path: Path) -> None:
    step = ["--step", "before daemon.core.entry:run_process", "--armed-by", str(tmp_path / "armed")]
    code, output = await run(tmp_path / "note", *step, "--", "--name", "shard_00")
    assert code == ExitCode.CONFIG, output
    assert not (tmp_path / "note").exists()
