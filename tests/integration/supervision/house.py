"""A home of its own for one test, in a short path, with bin/up's launcher running in it."""

import contextlib
import os
import secrets
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast
from xmlrpc.client import ServerProxy

import psutil
from supervisor.xmlrpc import SupervisorTransport

from daemon.core.settings import SECTIONS
from daemon.embedded.home import Home, make_home, remove_home
from tests.places import SHORT
from tests.servers.child import end, free_ports

CHECKOUT = Home(root=Path(__file__).resolve().parents[3])
START_LIMIT_S = 60.0


@dataclass
class House:
    """One home, its environment, and what was started in it."""

    home: Home
    port: int
    environment: dict[str, str]
    started: list["subprocess.Popen[str]"] = field(default_factory=list)

    def start(self, *command: str | Path, **environment: str) -> "subprocess.Popen[str]":
        """Start a command in the home; its output goes to the file `output`."""
        with open(self.home.root / "output", "a") as output:
            child = subprocess.Popen(
                [str(part) for part in command],
                cwd=self.home.root,
                env=self.environment | environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                text=True,
                start_new_session=True,
            )
        self.started.append(child)
        return child

    def up(self, *arguments: str, **environment: str) -> "subprocess.Popen[str]":
        """Start the launcher as bin/up does after set-up."""
        return self.start(self.home.binary("python"), "-m", "daemon.embedded.up", *arguments, **environment)

    def output(self) -> str:
        """Return what the started commands have printed."""
        return (self.home.root / "output").read_text()

    def log(self, program: str) -> str:
        """Return a program's log."""
        return (self.home.log_dir / f"{program}.log").read_text()

    def control(self, *arguments: str) -> str:
        """Run supervisorctl without any environment; return what it says."""
        command = [self.home.binary("supervisorctl"), "-c", self.home.config, *arguments]
        done = subprocess.run(command, env={}, capture_output=True, text=True, timeout=120)
        return done.stdout + done.stderr

    def start_group(self, group: str) -> None:
        """Have supervisord start all programs of a group; return before they are up."""
        with self._supervisord() as server:
            server.supervisor.startProcessGroup(group, False)

    def status(self) -> dict[str, str]:
        """Return `{"shard:shard_00": "RUNNING"}`."""
        rows = [line.split() for line in self.control("status").splitlines()]
        return {row[0]: row[1] for row in rows if len(row) > 1}

    def states(self) -> dict[str, str]:
        """Return the same as `status`, without a process for each look; nothing while supervisord does not listen."""
        try:
            return {_full_name(info): info["statename"] for info in self._infos()}
        except OSError:
            return {}

    def pid(self, program: str) -> int:
        """Return a program's process id; 0 if none runs."""
        return next(int(info["pid"]) for info in self._infos() if _full_name(info) == program)

    def _infos(self) -> list[dict[str, Any]]:
        with self._supervisord() as server:
            return cast(list[dict[str, Any]], server.supervisor.getAllProcessInfo())

    def _supervisord(self) -> ServerProxy:
        transport = SupervisorTransport(None, None, serverurl=f"unix://{self.home.control_socket}")
        return ServerProxy("http://127.0.0.1", transport=transport)

    def processes(self) -> list[psutil.Process]:
        """Return everything that was started here and still lives, however deep."""
        found = []
        for child in self.started:
            with contextlib.suppress(psutil.NoSuchProcess):
                root = psutil.Process(child.pid)
                found += [root, *root.children(recursive=True)]
        return found


def _full_name(info: Mapping[str, Any]) -> str:
    group, name = str(info["group"]), str(info["name"])
    return name if group == name else f"{group}:{name}"


@contextlib.contextmanager
def house() -> Iterator[House]:
    """Make a home with its secrets and ports; end everything in it afterwards."""
    root = Path(tempfile.mkdtemp(prefix="bz-", dir=SHORT))
    home, port = make_home(root, CHECKOUT), free_ports(5)
    made = House(home=home, port=port, environment=_environment(root, port))
    seen: list[psutil.Process] = []
    try:
        yield made
    finally:
        seen = made.processes()
        for child in made.started:
            end(child)
        _, alive = psutil.wait_procs(seen, timeout=10)
        for process in alive:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        remove_home(home)


def _environment(root: Path, port: int) -> dict[str, str]:
    ours = {field.alias for section in SECTIONS.values() for field in section.model_fields.values()}
    inherited: Mapping[str, str] = {name: value for name, value in os.environ.items() if name not in ours}
    return dict(inherited) | {
        "API_TOKEN": secrets.token_hex(16),
        "EMBEDDED_S3_SECRET": secrets.token_hex(16),
        "COORDINATOR_PORT": str(port),
        "EMBEDDED_S3_PORT": str(port + 1),
        "DATA_ROOT": str(root / "var"),
        "WHATSAPP_WEB_URL": "http://127.0.0.1:9/",
    }


def until(condition: Callable[[], bool], what: str, *, limit_s: float = START_LIMIT_S) -> None:
    """Wait until `condition` holds."""
    deadline_mono_s = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline_mono_s, f"not within {limit_s:.0f} s: {what}"
        time.sleep(0.1)
