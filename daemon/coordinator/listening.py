"""The socket on which the coordinator listens."""

import socket

from daemon.core.errors import FatalError
from daemon.core.exit_codes import ExitCode


class CannotListenError(FatalError):
    """The HTTP port cannot be opened."""

    code = "cannot_listen"
    exit_code = ExitCode.TEMPORARY


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens.

    Raises:
        CannotListenError: the port is taken or the address is not ours.
    """
    try:
        listener = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        raise CannotListenError(
            f"cannot listen on {host}:{port}: {error.strerror}",
            hint="another process has the port; set COORDINATOR_PORT or COORDINATOR_HOST",
        ) from error
    # asyncio sets it on sockets of its own making only. Without it every answer after the first on a connection waits
    # 40 ms for the caller's delayed acknowledgement. Accepted sockets inherit it.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener
