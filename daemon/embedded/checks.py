"""Looks at the machine before something is started on it, so that the reason for a refusal is one clear line."""

import errno
import os
import socket
from collections.abc import Iterable
from pathlib import Path

from daemon.embedded.errors import CannotStartError

_SOCKET_PATH_BYTES = 107
"""Longest path of a unix socket on Linux (`sun_path` has 108 bytes with the closing zero)."""


def check_ports_free(ports: Iterable[int], *, setting: str, host: str = "127.0.0.1") -> None:
    """Check that every TCP port can be listened on now.

    Raises:
        CannotStartError: naming the port and the setting that chooses another.
    """
    for port in ports:
        try:
            with socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET):
                pass
        except OSError as error:
            what = "is in use" if error.errno == errno.EADDRINUSE else f"cannot be opened: {error.strerror}"
            raise CannotStartError(
                f"port {port} on {host} {what}", hint=f"stop what uses it, or choose another {setting}"
            ) from error


def check_socket_path(path: Path, *, room_bytes: int = 0) -> Path:
    """Return `path` if a unix socket can have it, with `room_bytes` more for a temporary name.

    Raises:
        CannotStartError: it is too long.
    """
    length = len(os.fsencode(path)) + room_bytes
    if length > _SOCKET_PATH_BYTES:
        raise CannotStartError(
            f"the socket path {path} is {length - _SOCKET_PATH_BYTES} bytes too long for a unix socket",
            hint="install into a directory with a shorter path, or set a shorter DATA_ROOT",
        )
    return path


def check_extended_attributes(directory: Path) -> None:
    """Check that files in `directory` can have user attributes, in which Swift keeps all metadata.

    Raises:
        CannotStartError: the file system has none.
    """
    probe = directory / ".attributes"
    try:
        probe.touch()
        os.setxattr(probe, "user.blazz", b"1")
    except OSError as error:
        raise CannotStartError(
            f"the file system of {directory} keeps no extended attributes ({error.strerror}),"
            " without which the embedded S3 server cannot work",
            hint="set DATA_ROOT to a directory on ext4, xfs or btrfs, or set R2_* to another S3 server",
        ) from error
    finally:
        probe.unlink(missing_ok=True)
