"""Notes of process groups: which are killed and which are left alone."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from shards.browser.orphans import end_ownerless, sweep_orphans, write_note
from shards.browser.procfs import boot_id, read_stat


@pytest.fixture
def child() -> Iterator["subprocess.Popen[bytes]"]:
    process = subprocess.Popen(["sleep", "60"], start_new_session=True)
    yield process
    process.kill()
    process.wait()


def test_a_noted_group_is_killed_and_the_note_removed(tmp_path: Path, child: "subprocess.Popen[bytes]") -> None:
    write_note(tmp_path / "a.pgid", child.pid)
    assert sweep_orphans(tmp_path) == [child.pid]
    assert child.wait(5) == -signal.SIGKILL
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "change",
    [{"start_time": 1}, {"boot_id": "another"}, {"pgid": 1}, {"pgid": -1}, {"pgid": "x"}, {"start_time": None}],
)
def test_a_note_that_fits_no_longer_kills_nobody(
    tmp_path: Path, child: "subprocess.Popen[bytes]", change: dict[str, object]
) -> None:
    note = tmp_path / "a.pgid"
    write_note(note, child.pid)
    note.write_text(json.dumps({**json.loads(note.read_text()), **change}))
    assert sweep_orphans(tmp_path) == []
    assert child.poll() is None
    assert not note.exists()


@pytest.mark.parametrize("content", ["", "{", "[]", "7", "null"])
def test_a_note_that_cannot_be_read_is_removed(tmp_path: Path, content: str) -> None:
    (tmp_path / "a.pgid").write_text(content)
    (tmp_path / "other.json").write_text("{}")
    assert sweep_orphans(tmp_path) == []
    assert [path.name for path in tmp_path.iterdir()] == ["other.json"]


def test_children_that_outlived_their_leader_are_killed_if_they_are_chromiums(tmp_path: Path) -> None:
    binary = tmp_path / "chromium-child"
    binary.symlink_to("/bin/sleep")
    leader = subprocess.Popen(
        ["sh", "-c", f"{binary} 60 & echo $!; read line"],
        start_new_session=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert leader.stdout is not None
    orphan = int(leader.stdout.readline())
    write_note(tmp_path / "a.pgid", leader.pid)
    leader.kill()
    leader.wait()
    leader.stdout.close()
    if leader.stdin is not None:
        leader.stdin.close()
    assert sweep_orphans(tmp_path) == [leader.pid]
    stat = read_stat(orphan)
    deadline_mono_s = time.monotonic() + 20
    while stat is not None and stat.running and time.monotonic() < deadline_mono_s:
        time.sleep(0.01)
        stat = read_stat(orphan)
    assert stat is None or not stat.running


def test_a_directory_that_does_not_exist_holds_no_orphans(tmp_path: Path) -> None:
    assert sweep_orphans(tmp_path / "none") == []


def test_the_boot_id_is_stable() -> None:
    assert boot_id() == boot_id() != ""


def own(note: Path, owner: int, start_ticks: int) -> None:
    note.write_text(json.dumps(json.loads(note.read_text()) | {"owner": owner, "owner_start_time": start_ticks}))


def test_browsers_of_a_living_process_are_spared(tmp_path: Path, child: "subprocess.Popen[bytes]") -> None:
    write_note(tmp_path / "a.pgid", child.pid)
    assert end_ownerless(tmp_path) == []
    assert child.poll() is None


def test_browsers_of_a_dead_process_are_ended_and_their_notes_stay(
    tmp_path: Path, child: "subprocess.Popen[bytes]"
) -> None:
    note = tmp_path / "a.pgid"
    write_note(note, child.pid)
    # Our own number, but another process's start: the number has gone round.
    own(note, os.getpid(), 1)
    assert end_ownerless(tmp_path) == [child.pid]
    assert child.wait(5) == -signal.SIGKILL
    assert end_ownerless(tmp_path) == []
    assert note.exists()


def test_a_note_that_names_no_owner_is_left_to_the_sweep(tmp_path: Path, child: "subprocess.Popen[bytes]") -> None:
    note = tmp_path / "a.pgid"
    write_note(note, child.pid)
    own(note, 0, 0)
    assert end_ownerless(tmp_path) == []
    assert sweep_orphans(tmp_path) == [child.pid]
