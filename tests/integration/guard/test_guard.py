"""A session past its deadline loses its browser, whatever state its shard is in."""

import contextlib
import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from shards.browser.orphans import write_note

ROOT = Path(__file__).parents[3]
SESSION = "session-1-1"


class Rig:
    """A holder, its guard, and browsers: ordinary processes with a profile on their command line."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.notes, self.sessions = root / "notes", root / "sessions"
        self.notes.mkdir()
        self.sessions.mkdir()
        self.children: list[subprocess.Popen[str]] = []

    def browser(self, session_id: str = SESSION, *, noted: bool = True, named: bool = True) -> "subprocess.Popen[str]":
        profile = self.sessions / session_id if named else "elsewhere"
        command = [sys.executable, "-c", "import time; time.sleep(60)", f"--user-data-dir={profile}"]
        child = subprocess.Popen(command, start_new_session=True, text=True)
        self.children.append(child)
        if noted:
            write_note(self.notes / f"{session_id}.pgid", child.pid)
        return child

    def holder(self, seconds: float) -> "subprocess.Popen[str]":
        command = [sys.executable, "-m", "tests.integration.guard.holder", str(self.root), SESSION, str(seconds)]
        child = subprocess.Popen(
            command, cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}, stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.children.append(child)
        return child

    def end(self) -> None:
        for child in self.children:
            with contextlib.suppress(ProcessLookupError):
                child.send_signal(signal.SIGCONT)
                child.kill()
            child.wait()
            for stream in (child.stdin, child.stdout):
                if stream is not None:
                    stream.close()


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    rig = Rig(tmp_path)
    yield rig
    rig.end()


def guard_pid(holder: "subprocess.Popen[str]") -> int:
    """Return the pid that the holder says; what it logs is passed over."""
    assert holder.stdout is not None
    for line in holder.stdout:
        if line.startswith("guard "):
            return int(line.split()[1])
    raise AssertionError("the holder ended")


def tell(holder: "subprocess.Popen[str]", line: str) -> None:
    assert holder.stdin is not None
    holder.stdin.write(line + "\n")
    holder.stdin.flush()


def until(what: str, probe: Callable[[], bool], *, timeout_s: float = 10.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not probe():
        assert time.monotonic() < deadline, what
        time.sleep(0.01)


def alive(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in {"Z", "X"}
    return False


def killed(child: "subprocess.Popen[str]") -> bool:
    return child.poll() == -signal.SIGKILL


@pytest.mark.parametrize("how", ["stopped", "stalled"])
def test_a_holder_that_does_not_run_loses_its_browser_at_the_deadline(rig: Rig, how: str) -> None:
    browser, holder = rig.browser(), rig.holder(2.0)
    guard_pid(holder)
    if how == "stopped":
        os.kill(holder.pid, signal.SIGSTOP)
    else:
        tell(holder, "stall 30")
    until("the browser is killed", lambda: killed(browser))
    assert alive(holder.pid)


def test_a_renewal_keeps_the_browser_and_a_drop_frees_it(rig: Rig) -> None:
    browser, holder = rig.browser(), rig.holder(1.5)
    guard_pid(holder)
    began = time.monotonic()
    while time.monotonic() - began < 3.0:
        tell(holder, "hold")
        assert browser.poll() is None
        time.sleep(0.2)
    tell(holder, "drop")
    other, other_holder = rig.browser("session-2-2"), time.monotonic()
    until("the deadline of the dropped one is past", lambda: time.monotonic() - other_holder > 2.0)
    assert browser.poll() is None and other.poll() is None


def test_a_browser_that_is_only_just_started_after_the_deadline_is_killed_as_well(rig: Rig) -> None:
    first, holder = rig.browser(), rig.holder(1.0)
    guard_pid(holder)
    os.kill(holder.pid, signal.SIGSTOP)
    until("the first browser is killed", lambda: killed(first))
    unnoted, noted_only = rig.browser(noted=False), rig.browser(named=False)
    until("the second is found by its profile", lambda: killed(unnoted))
    until("the third is found by its note", lambda: killed(noted_only))


def test_others_and_a_number_that_went_round_are_left_alone(rig: Rig) -> None:
    other, holder = rig.browser("session-9-9"), rig.holder(0.5)
    innocent = rig.browser(noted=False, named=False)
    note = rig.notes / f"{SESSION}.pgid"
    write_note(note, innocent.pid)
    note.write_text(note.read_text().replace('"start_time": ', '"start_time": 9'))
    target = rig.browser(noted=False)
    guard_pid(holder)
    os.kill(holder.pid, signal.SIGSTOP)
    until("the right one is killed", lambda: killed(target))
    assert other.poll() is None and innocent.poll() is None


def test_when_the_holder_is_killed_all_its_browsers_end_and_the_guard_with_them(rig: Rig) -> None:
    browsers = [rig.browser(), rig.browser("session-2-2"), rig.browser("session-3-3", noted=False)]
    holder = rig.holder(60)
    guard = guard_pid(holder)
    holder.kill()
    until("all browsers are gone", lambda: all(killed(browser) for browser in browsers), timeout_s=3)
    until("the guard is gone", lambda: not alive(guard))


def test_when_the_next_process_of_the_shard_lives_its_browsers_are_spared(rig: Rig) -> None:
    browser, holder = rig.browser(), rig.holder(60)
    guard = guard_pid(holder)
    with (rig.root / "shard_00.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        holder.kill()
        until("the guard is gone", lambda: not alive(guard))
        assert browser.poll() is None


def test_signals_meant_for_the_shard_do_not_end_the_guard(rig: Rig) -> None:
    browser, holder = rig.browser(), rig.holder(2.0)
    guard = guard_pid(holder)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        os.kill(guard, number)
    assert os.getpgid(guard) != os.getpgid(holder.pid)
    os.kill(holder.pid, signal.SIGSTOP)
    until("the browser is killed all the same", lambda: killed(browser))


def test_a_guard_that_is_killed_is_followed_by_another_that_knows_the_deadlines(rig: Rig) -> None:
    began = time.monotonic()
    browser, holder = rig.browser(), rig.holder(4.0)
    guard = guard_pid(holder)
    os.kill(guard, signal.SIGKILL)

    def followed() -> bool:
        tell(holder, "pid")
        return guard_pid(holder) not in {guard, 0}

    until("another guard", followed)
    os.kill(holder.pid, signal.SIGSTOP)
    until("the browser is killed", lambda: killed(browser))
    assert time.monotonic() - began >= 4.0, "killed before its deadline"


def test_an_orderly_end_leaves_nothing(rig: Rig) -> None:
    holder = rig.holder(60)
    guard = guard_pid(holder)
    assert holder.stdin is not None
    holder.stdin.close()
    assert holder.wait(10) == 0
    assert not alive(guard)
