"""Who this shard process is, and the proof that every earlier process of its name is dead.

The proof is a lock file: the kernel gives it up exactly when the process that holds it ends, however it ends. So once
we have the lock, leases of our earlier processes on this host may be taken over without waiting for their TTL.
"""

import fcntl
import os
import secrets
import socket
from pathlib import Path
from types import TracebackType
from typing import Self

from daemon.core.errors import UnavailableError
from daemon.core.exit_codes import ExitCode
from daemon.core.files import private_directory, write_atomic
from daemon.core.ids import check_shard_name


class ShardRunsAlreadyError(UnavailableError):
    """Another process of this name is alive on this host."""

    code = "shard_runs_already"
    exit_code = ExitCode.TEMPORARY


class ShardIdentity:
    """The lock of one shard name on one host, held until close or the end of the process."""

    def __init__(self, name: str, run_dir: Path) -> None:
        """Take the lock.

        Raises:
            ShardRunsAlreadyError: its process still lives; supervisord tries again.
        """
        self.name = check_shard_name(name)
        self.host = socket.gethostname()
        private_directory(run_dir)
        self._lock = os.open(run_dir / f"{name}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._lock)
            raise ShardRunsAlreadyError(
                "a process of this name still runs here", hint="stop it, or choose another --name", shard=name
            ) from None
        self.incarnation = f"{os.getpid()}-{secrets.token_hex(4)}"
        self.dead_prefix = f"{name}:{_installation(run_dir / f'{name}.id')}:"
        """What the holders of all earlier processes of this name in this directory begin with."""

    @property
    def holder(self) -> str:
        """How this process signs its leases."""
        return self.dead_prefix + self.incarnation

    def close(self) -> None:
        """Give the lock up."""
        os.close(self._lock)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _installation(path: Path) -> str:
    # Random, so that a shard of the same name on another host, or in another directory, is never taken for ours.
    if not path.exists():
        write_atomic(path, secrets.token_hex(8).encode())
    return f"{path.read_text()}.{_machine()}"


def _machine() -> str:
    # A cloned disk has the same random part; the clone is another machine all the same.
    try:
        return Path("/etc/machine-id").read_text().strip()[:12]
    except OSError:
        return "unknown"
