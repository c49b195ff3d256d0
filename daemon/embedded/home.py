"""The directory that one supervisord works in: where its sockets and logs are, and which included programs it has.

Its layout is that of supervisord.conf, in which everything is relative to the file. The checkout is a home; the demo
and the tests make others, of links to the checkout, to run beside it without its .env and its var.
"""

import contextlib
import fcntl
import os
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from daemon.core.files import private_directory
from daemon.embedded.checks import check_socket_path
from daemon.embedded.errors import CannotStartError

_LINKED = (".venv", "daemon", "shards", "tests", "supervisord.conf", "supervisord.d")
_TEMPORARY_NAME_BYTES = 8
"""supervisord opens its socket under a name that ends in a dot and its process id, then renames it."""


@dataclass(frozen=True, kw_only=True)
class Home:
    """One installation, by its directory."""

    root: Path

    @property
    def config(self) -> Path:
        """The file to give to supervisord and supervisorctl."""
        return self.root / "supervisord.conf"

    @property
    def var(self) -> Path:
        """What supervisord writes; also the default of DATA_ROOT."""
        return self.root / "var"

    @property
    def log_dir(self) -> Path:
        """Logs of all programs."""
        return self.var / "log"

    @property
    def run_dir(self) -> Path:
        """Sockets and locks."""
        return self.var / "run"

    @property
    def control_socket(self) -> Path:
        """Where supervisorctl reaches supervisord."""
        return self.run_dir / "supervisor.sock"

    @property
    def included_dir(self) -> Path:
        """Directory of the program files that supervisord.conf includes."""
        return self.run_dir / "supervisord.d"

    def binary(self, name: str) -> Path:
        """Return a program of the virtual environment."""
        return self.root / ".venv" / "bin" / name

    def prepare(self, included: Iterable[Path]) -> None:
        """Make the directories and include exactly the given program files.

        Raises:
            CannotStartError: the path of the control socket is too long.
        """
        check_socket_path(self.control_socket, room_bytes=_TEMPORARY_NAME_BYTES)
        for directory in (self.var, self.log_dir, self.run_dir, self.included_dir):
            private_directory(directory)
        for old in self.included_dir.glob("*.conf"):
            old.unlink()
        for file in included:
            (self.included_dir / file.name).symlink_to(file.resolve())

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold this home, so that it is started only once.

        Raises:
            CannotStartError: another start holds it.
        """
        private_directory(self.run_dir)
        lock = os.open(self.run_dir / "up.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield
        except BlockingIOError:
            raise CannotStartError(
                f"{self.root} is running already", hint="stop the other bin/up with Ctrl-C or SIGTERM first"
            ) from None
        finally:
            os.close(lock)


def this_home() -> Home:
    """Return the home whose code this is, by the path it was imported by: in a home of links, that home."""
    return Home(root=Path(__file__).absolute().parents[2])


def make_home(root: Path, source: Home) -> Home:
    """Make a new home at `root`, which must be absent or empty, of links to `source`."""
    root.mkdir(parents=True, exist_ok=True, mode=0o700)
    for name in _LINKED:
        (root / name).symlink_to(source.root / name)
    return Home(root=root.absolute())


def remove_home(home: Home) -> None:
    """Delete a home that `make_home` made; what its links lead to stays."""
    shutil.rmtree(home.root, ignore_errors=True)
