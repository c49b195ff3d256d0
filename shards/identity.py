"""Who this shard process is, and the proof that every earlier process of its name is dead.

The proof is a lock file: the kernel gives it up exactly when the process that holds it ends, however it ends. So once
we have the lock, leases of our earlier processes on this host may be taken over without waiting for their TTL.
"""

import fcntl
import os
import secrets
import socket
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from daemon.core.clock import mono_s
from daemon.core.errors import UnavailableError
from daemon.core.exit_codes import ExitCode
from daemon.core.files import private_directory, write_atomic
from daemon.core.ids import check_shard_name

_WAIT_S = 6.0
"""Longer than a guard holds the lock to end what its dead shard left."""


class ShardRunsAlreadyError(UnavailableError):
    """Another process of this name is alive on this host."""

    code = "shard_runs_already"
    exit_code = ExitCode.TEMPORARY


class ShardIdentity:
    """The lock of one shard name on one host, held until close or the end of the process."""

    def __init__(self, name: str, run_dir: Path, *, host: str = "") -> None:
        """Take the lock; `host` is what this host is called, if not as the system says.

        Raises:
            ShardRunsAlreadyError: its process still lives; supervisord tries again.
        """
        self.name = check_shard_name(name)
        self.host = host or socket.gethostname()
        private_directory(run_dir)
        self.lock_path = run_dir / f"{name}.lock"
        self._lock = os.open(self.lock_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        if not _locked(self._lock):
            os.close(self._lock)
            raise ShardRunsAlreadyError(
                "a process of this name still runs here", hint="stop it, or choose another --name", shard=name
            )
        self.incarnation = f"{os.getpid()}-{secrets.token_hex(4)}"
        os.ftruncate(self._lock, 0)
        os.pwrite(self._lock, self.incarnation.encode(), 0)
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


@dataclass(frozen=True, kw_only=True)
class Traces:
    """What processes of one shard name left in a run directory."""

    dead_prefix: str
    """What the holders of all of them begin with."""
    incarnation: str
    """The last one that had the lock; it may be alive. Empty if it did not get as far as saying so."""


def read_traces(name: str, run_dir: Path) -> Traces | None:
    """Return what the processes of a shard left, or None if no shard of this name ever ran here."""
    identifier, lock = run_dir / f"{name}.id", run_dir / f"{name}.lock"
    if not (identifier.exists() and lock.exists()):
        return None
    return Traces(dead_prefix=f"{name}:{_installation(identifier)}:", incarnation=lock.read_text())


def _locked(lock: int) -> bool:
    """Take the lock; whoever ends what the process before has left may hold it for a moment."""
    deadline_mono_s = mono_s() + _WAIT_S
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if mono_s() >= deadline_mono_s:
                return False
            time.sleep(0.02)


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
