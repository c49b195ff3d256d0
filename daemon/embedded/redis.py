"""`python -m daemon.embedded.redis`: becomes a redis-server of this installation, on a unix socket only.

Owns DATA_ROOT/redis (append-only file) and DATA_ROOT/run/redis.sock. supervisord and tests start it.
"""

import os
import shutil
import sys
from pathlib import Path

from daemon.core.errors import BlazzError
from daemon.core.files import private_directory, write_atomic
from daemon.core.sections import PathSettings
from daemon.core.settings import load_section
from daemon.embedded.checks import check_socket_path
from daemon.embedded.errors import CannotStartError
from daemon.embedded.parent import die_with_parent

MAX_MEMORY = "512mb"
"""When this is reached, what has a TTL is dropped, the longest unused first: hot copies, which archives replace.

What else has a TTL is renewed all the time, or may be lost (`daemon/registry/keys.py`).
"""
MAX_MEMORY_SAMPLES = 64
"""Of so many keys the longest unused is dropped. Of Redis' 5 it is often a lease: there are as many as hot copies."""


def redis_socket(data_root: Path) -> Path:
    """Return the path of the socket."""
    return data_root.absolute() / "run" / "redis.sock"


def redis_url(data_root: Path) -> str:
    """Return REDIS_URL of the embedded server."""
    return f"unix://{redis_socket(data_root)}"


def redis_config(data_root: Path) -> str:
    """Return redis.conf: private, durable to the second, and never dropping what must not be lost."""
    return "\n".join(
        [
            "port 0",
            f"unixsocket {_quoted(redis_socket(data_root))}",
            "unixsocketperm 700",
            f"dir {_quoted(data_root.absolute() / 'redis')}",
            "daemonize no",
            'logfile ""',
            "loglevel notice",
            "syslog-enabled no",
            "appendonly yes",
            "appendfsync everysec",
            'save ""',
            f"maxmemory {MAX_MEMORY}",
            "maxmemory-policy volatile-lru",
            f"maxmemory-samples {MAX_MEMORY_SAMPLES}",
            "",
        ]
    )


def _quoted(path: Path) -> str:
    return '"' + str(path).replace("\\", "\\\\").replace('"', '\\"') + '"'


def main() -> None:
    """Write the configuration and become redis-server; return only by raising SystemExit."""
    try:
        data_root = load_section(PathSettings).data_root
        binary = shutil.which("redis-server")
        if binary is None:
            raise CannotStartError("redis-server is not installed", hint="run bin/setup, or set REDIS_URL")
        check_socket_path(redis_socket(data_root))
    except BlazzError as error:
        print(f"redis: {error}; {error.hint}", file=sys.stderr)
        sys.exit(error.exit_code)
    private_directory(data_root / "run")
    config = private_directory(data_root / "redis") / "redis.conf"
    write_atomic(config, redis_config(data_root).encode())
    die_with_parent()
    os.execv(binary, ["redis-server", str(config.absolute())])


if __name__ == "__main__":
    main()
