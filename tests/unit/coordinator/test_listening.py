"""The coordinator's socket."""

import socket

import pytest

from daemon.coordinator.listening import CannotListenError, listen


def test_what_is_accepted_does_not_wait_for_the_callers_acknowledgements() -> None:
    with listen("127.0.0.1", 0) as listener, socket.create_connection(listener.getsockname()):
        accepted, _ = listener.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1


def test_a_port_that_is_taken_is_told() -> None:
    with listen("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(CannotListenError, match=f"127.0.0.1:{port}"):
            listen("127.0.0.1", port)
