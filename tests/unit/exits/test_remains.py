"""Whose leases may be freed: those of a process that is proven dead, and of no other."""

import os
import subprocess
from pathlib import Path

import pytest

from shards.exits.remains import dead_holder
from shards.identity import ShardIdentity, read_traces


@pytest.fixture
def dead_pid() -> int:
    """The number of a process that has ended and was reaped."""
    process = subprocess.Popen(["true"])
    process.wait()
    return process.pid


def leave(run_dir: Path, incarnation: str) -> str:
    """Leave the traces of a shard whose last process was that one; return what its holders begin with."""
    with ShardIdentity("shard_00", run_dir) as identity:
        prefix = identity.dead_prefix
    (run_dir / "shard_00.lock").write_text(incarnation)
    return prefix


def test_a_shard_leaves_its_incarnation_behind(tmp_path: Path) -> None:
    with ShardIdentity("shard_00", tmp_path) as identity:
        traces = read_traces("shard_00", tmp_path)
    assert traces is not None
    assert traces.dead_prefix + traces.incarnation == identity.holder


def test_the_last_process_is_known_to_the_last_letter(tmp_path: Path, dead_pid: int) -> None:
    prefix = leave(tmp_path, f"{dead_pid}-abcd")
    for pid in (dead_pid, 0):
        assert dead_holder("shard_00", pid, tmp_path) == f"{prefix}{dead_pid}-abcd|"


def test_an_earlier_process_is_known_by_its_number(tmp_path: Path, dead_pid: int) -> None:
    prefix = leave(tmp_path, f"{os.getpid()}-abcd")
    assert dead_holder("shard_00", dead_pid, tmp_path) == f"{prefix}{dead_pid}-"


def test_an_end_without_a_number_is_nobodys_while_the_last_process_lives(tmp_path: Path) -> None:
    leave(tmp_path, f"{os.getpid()}-abcd")
    assert dead_holder("shard_00", 0, tmp_path) is None


@pytest.mark.parametrize("text", ["", "garbage"])
def test_an_end_without_a_number_is_nobodys_if_the_last_process_is_unknown(tmp_path: Path, text: str) -> None:
    leave(tmp_path, text)
    assert dead_holder("shard_00", 0, tmp_path) is None


def test_a_program_that_is_no_shard_has_no_leases(tmp_path: Path) -> None:
    assert dead_holder("coordinator", 7, tmp_path) is None
