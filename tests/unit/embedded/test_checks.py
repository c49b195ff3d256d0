"""Reasons not to start are found before anything is started, and say what to change."""

import socket
from pathlib import Path

import pytest

from daemon.core.exit_codes import ExitCode
from daemon.embedded.checks import check_extended_attributes, check_ports_free, check_socket_path
from daemon.embedded.errors import CannotStartError


def test_a_port_in_use_is_named_with_its_setting() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(CannotStartError, match=f"port {port} on 127.0.0.1 is in use") as raised:
            check_ports_free([port], setting="COORDINATOR_PORT")
    assert "COORDINATOR_PORT" in raised.value.hint
    assert raised.value.exit_code is ExitCode.CONFIG


def test_a_free_port_is_free_again_after_the_check() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    check_ports_free([port], setting="X")
    with socket.create_server(("127.0.0.1", port)) as server:
        assert server.getsockname()[1] == port


def test_an_address_that_is_not_ours_is_said() -> None:
    with pytest.raises(CannotStartError, match="cannot be opened"):
        check_ports_free([8080], setting="COORDINATOR_PORT", host="203.0.113.1")


@pytest.mark.parametrize(("length", "room", "fits"), [(107, 0, True), (108, 0, False), (99, 8, True), (100, 8, False)])
def test_a_socket_path_has_at_most_107_bytes(length: int, room: int, fits: bool) -> None:
    path = Path("/" + "x" * (length - 1))
    if fits:
        assert check_socket_path(path, room_bytes=room) == path
    else:
        with pytest.raises(CannotStartError, match="1 bytes too long"):
            check_socket_path(path, room_bytes=room)


def test_a_socket_path_is_measured_in_bytes() -> None:
    with pytest.raises(CannotStartError):
        check_socket_path(Path("/" + "é" * 60))


def test_extended_attributes_are_tried_and_the_probe_removed(tmp_path: Path) -> None:
    check_extended_attributes(tmp_path)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(CannotStartError, match="extended attributes"):
        check_extended_attributes(Path("/proc"))
