"""`bin/up --demo`, as it is run by people, in a home of its own."""

import signal
import subprocess

import pytest

from daemon.core.exit_codes import ExitCode
from tests.integration.supervision.house import House, until


def demo(fresh: House, *arguments: str, **environment: str) -> "subprocess.Popen[str]":
    return fresh.start(
        fresh.home.binary("python"), "-m", "tests.demo", "--port", str(fresh.port), *arguments, **environment
    )


@pytest.mark.timeout(240)
def test_once_walks_through_every_step_and_leaves_nothing(fresh: House) -> None:
    walk = demo(fresh, "--once")
    assert walk.wait(180) == ExitCode.OK, fresh.output()
    assert "every step held" in fresh.output()
    assert not (fresh.home.var / "demo").exists()
    assert not fresh.home.control_socket.is_symlink()


@pytest.mark.timeout(240)
def test_it_stays_up_until_ctrl_c_and_answers_the_checkouts_supervisorctl(fresh: House) -> None:
    walk = demo(fresh)
    until(lambda: "It stays up" in fresh.output() or walk.poll() is not None, "the walk has ended", limit_s=120)
    assert set(fresh.status().values()) == {"RUNNING"}, fresh.output()
    processes = fresh.processes()
    walk.send_signal(signal.SIGINT)
    assert walk.wait(90) == ExitCode.OK
    assert not [process for process in processes if process.is_running()]
    assert not (fresh.home.var / "demo").exists()


@pytest.mark.timeout(240)
def test_a_failed_step_gives_an_exit_code_and_keeps_the_logs(fresh: House) -> None:
    walk = demo(fresh, "--once", CHROMIUM_SANDBOX="perhaps")
    assert walk.wait(180) == ExitCode.UNAVAILABLE
    assert "CHROMIUM_SANDBOX='perhaps'" in fresh.output()
    assert "a step failed" in fresh.output()
    assert (fresh.home.var / "demo" / "var" / "log" / "shard_00.log").exists()
