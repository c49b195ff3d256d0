"""`bin/up` and supervisorctl do what their names say."""

import os
import signal
import stat

import httpx
import psutil

from daemon.core.exit_codes import ExitCode
from tests.integration.supervision.house import House, until

ALL = {"coordinator", "exits", "redis", "s3", "shard:shard_00", "shard:shard_01"}


def test_everything_runs_answers_and_ends_with_ctrl_c(running: House) -> None:
    assert running.status() == dict.fromkeys(ALL, "RUNNING")
    assert httpx.get(f"http://127.0.0.1:{running.port}/health", timeout=10).status_code == 200
    mode = os.stat(running.home.control_socket).st_mode
    assert stat.S_ISSOCK(mode)
    assert stat.S_IMODE(mode) == 0o700

    processes = running.processes()
    assert len(processes) >= len(ALL) + 2
    running.started[0].send_signal(signal.SIGINT)
    assert running.started[0].wait(60) == ExitCode.OK
    assert not [process for process in processes if process.is_running()]
    assert not running.home.control_socket.exists()


def test_supervisorctl_restarts_and_stops_what_it_is_told(running: House) -> None:
    before = {name: running.pid(name) for name in ALL}
    running.control("restart", "shard:*")
    until(lambda: set(running.states().values()) == {"RUNNING"}, "the shards run again")
    after = {name: running.pid(name) for name in ALL}
    assert {name for name in ALL if before[name] != after[name]} == {"shard:shard_00", "shard:shard_01"}

    running.control("stop", "shard:shard_01")
    assert running.status() == dict.fromkeys(ALL, "RUNNING") | {"shard:shard_01": "STOPPED"}
    assert running.pid("shard:shard_00") == after["shard:shard_00"]


def test_a_killed_shard_comes_back(running: House) -> None:
    pid = running.pid("shard:shard_00")
    os.kill(pid, signal.SIGKILL)
    until(lambda: running.pid("shard:shard_00") not in (0, pid), "another process of that name")


def test_nothing_outlives_a_killed_launcher(running: House) -> None:
    processes = running.processes()
    running.started[0].kill()
    _, alive = psutil.wait_procs(processes, timeout=60)
    assert not alive


def test_nothing_outlives_a_killed_supervisord(running: House) -> None:
    processes = running.processes()
    supervisord = next(process for process in processes if "supervisord" in " ".join(process.cmdline()))
    supervisord.kill()
    assert running.started[0].wait(60) != ExitCode.OK
    assert not [process for process in processes if process.is_running()]
    assert "supervisord has ended" in running.output()
