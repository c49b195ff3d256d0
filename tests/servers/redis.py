"""A real redis-server in a directory of its own, on a unix socket only."""

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.places import SHORT
from tests.servers.child import running


@contextlib.contextmanager
def redis_server(*options: str) -> Iterator[str]:
    """Run Redis; gives its `unix://` address. `options` are further arguments of redis-server."""
    binary = shutil.which("redis-server")
    assert binary is not None, "redis-server is not installed: run bin/setup --tests"
    # Short, because a socket's path may have 107 bytes only.
    with tempfile.TemporaryDirectory(prefix="rd-", dir=SHORT) as folder:
        socket = Path(folder, "r.sock")
        command = [binary, "--port", "0", "--unixsocket", socket, "--unixsocketperm", "700", "--dir", folder,
                   "--save", "", "--appendonly", "no", "--loglevel", "notice", *options]  # fmt: skip
        with running(command, ready=r"Ready to accept connections|ready to accept connections"):
            yield f"unix://{socket}"
