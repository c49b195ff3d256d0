"""What a command puts on the disk is private and does not outlive it, even if it is killed."""

import asyncio
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from shards.cli.parts import each
from shards.cli.scratch import scratch_directory

_HOLD = """
import sys, time
from pathlib import Path
from shards.cli.scratch import scratch_directory
with scratch_directory(Path(sys.argv[1])) as path:
    (path / "login").touch()
    print(path, flush=True)
    time.sleep(60)
"""


def test_it_is_private_and_gone_afterwards(tmp_path: Path) -> None:
    with scratch_directory(tmp_path) as path:
        assert stat.S_IMODE(path.stat().st_mode) == 0o700
        assert tmp_path in path.parents
    assert not path.exists()


def test_what_a_killed_command_left_is_removed_and_a_living_ones_is_not(tmp_path: Path) -> None:
    root = Path(__file__).parents[3]
    process = subprocess.Popen([sys.executable, "-c", _HOLD, str(tmp_path)], stdout=subprocess.PIPE, cwd=root)
    assert process.stdout is not None
    theirs = Path(process.stdout.readline().decode().strip())
    try:
        with scratch_directory(tmp_path):
            assert (theirs / "login").exists()
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
    with scratch_directory(tmp_path):
        assert not theirs.exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_without_a_profile_root_of_ours_it_is_in_the_systems_directory() -> None:
    with scratch_directory(Path("/")) as path:
        assert path.parents[2] != Path("/")


async def test_items_are_worked_on_a_few_at_once() -> None:
    running = most = done = 0

    async def work(_: int) -> None:
        nonlocal running, most, done
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1
        done += 1

    await each(range(10), work, at_once=3)
    assert (most, done) == (3, 10)
