"""A start that cannot work says why in one line, and is not tried for ever."""

import socket

from daemon.core.exit_codes import ExitCode
from tests.integration.supervision.house import House, until


def test_a_wrong_setting_is_one_line_before_anything_starts(fresh: House) -> None:
    assert fresh.up(LEASE_RENEW_INTERVAL_MS="soon").wait(30) == ExitCode.CONFIG
    assert fresh.output().count("LEASE_RENEW_INTERVAL_MS='soon'") == 1
    assert not fresh.home.control_socket.exists()


def test_a_port_in_use_is_named(fresh: House) -> None:
    with socket.create_server(("127.0.0.1", fresh.port + 2)):
        assert fresh.up().wait(30) == ExitCode.CONFIG
    assert f"port {fresh.port + 2} on 127.0.0.1 is in use" in fresh.output()
    assert "EMBEDDED_S3_PORT" in fresh.output()


def test_a_second_start_in_the_same_home_is_refused(running: House) -> None:
    assert running.up().wait(30) == ExitCode.CONFIG
    assert "is running already" in running.output()
    assert set(running.status().values()) == {"RUNNING"}


def test_supervisord_alone_reports_a_wrong_setting_once_and_does_not_retry(fresh: House) -> None:
    fresh.home.prepare([])
    fresh.environment |= {"R2_ENDPOINT": "http://127.0.0.1:9", "R2_ACCESS_KEY_ID": "a", "R2_SECRET_ACCESS_KEY": "b"}
    fresh.start(
        fresh.home.binary("supervisord"), "-n", "-c", fresh.home.config, SHARD_COUNT="1", LEASE_MARGIN_MS="tomorrow"
    )
    ended = {"coordinator": "EXITED", "exits": "EXITED", "shard:shard_00": "EXITED"}
    until(lambda: fresh.states() == ended, "all programs have given up")
    for program in ("coordinator", "exits", "shard_00"):
        assert fresh.log(program).count("LEASE_MARGIN_MS='tomorrow'") == 1
    assert "exit status 78; expected" in fresh.log("supervisord")
