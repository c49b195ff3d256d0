"""One supervisord as our child: started, asked, and ended with everything under it."""

import ctypes
import subprocess
import time
import xmlrpc.client
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

import psutil
from supervisor.xmlrpc import SupervisorTransport  # type: ignore[import-untyped]

from daemon.core.clock import mono_s
from daemon.core.errors import UnavailableError
from daemon.embedded.home import Home

_PR_SET_CHILD_SUBREAPER = 36
_POLL_S = 0.1
STOP_TIMEOUT_S = 150.0
"""More than all `stopwaitsecs` of supervisord.conf and its included files, which supervisord waits out in turn."""

_ORPHANS_TIMEOUT_S = 75.0


class ProgramFailedError(UnavailableError):
    """supervisord has given up on a program, or has itself ended."""

    code = "program_failed"


class Supervision:
    """supervisord and all processes under it, from `start` to `stop`."""

    def __init__(self, home: Home, environment: Mapping[str, str]) -> None:
        """`environment` is the whole environment of supervisord and of its programs."""
        self._home = home
        self._environment = dict(environment)
        self._child: subprocess.Popen[bytes] | None = None
        self._strangers: frozenset[psutil.Process] = frozenset()

    def start(self) -> None:
        """Start supervisord in the foreground of its own session, where a terminal's Ctrl-C does not reach it.

        The kernel stops it when we are killed. What outlives it becomes our child, so that `stop` finds it.
        """
        self._strangers = frozenset(psutil.Process().children())
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        supervisord = [str(self._home.binary("supervisord")), "--nodaemon", "--silent"]
        self._child = subprocess.Popen(
            ["setpriv", "--pdeathsig", "TERM", "--", *supervisord, "-c", str(self._home.config)],
            cwd=self._home.root,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )

    @property
    def running(self) -> bool:
        """Whether supervisord is alive."""
        return self._child is not None and self._child.poll() is None

    def call(self, method: str, *arguments: object) -> Any:
        """Call a method of supervisord's own XML-RPC interface.

        Raises:
            OSError: supervisord does not answer (yet).
            xmlrpc.client.Fault: it refuses.
        """
        transport = SupervisorTransport(None, None, f"unix://{self._home.control_socket}")
        with xmlrpc.client.ServerProxy("http://localhost", transport=transport) as proxy:
            return getattr(proxy.supervisor, method)(*arguments)

    def states(self) -> dict[str, str]:
        """Return the state of each program, as `{"shard:shard_00": "RUNNING"}`; empty while supervisord starts."""
        try:
            found = self.call("getAllProcessInfo")
        except (OSError, xmlrpc.client.Error):
            return {}
        return {
            item["name"] if item["name"] == item["group"] else f"{item['group']}:{item['name']}": item["statename"]
            for item in found
        }

    def check(self) -> None:
        """Check that supervisord lives and has given up on no program.

        Raises:
            ProgramFailedError: with the last lines of the program's log.
        """
        if not self.running:
            raise ProgramFailedError("supervisord has ended", hint=f"see {self._home.log_dir}/supervisord.log")
        for name, state in self.states().items():
            if state in {"FATAL", "EXITED"}:
                log = self._home.log_dir / f"{name.partition(':')[2] or name}.log"
                raise ProgramFailedError(
                    f"{name} does not start ({state}):\n{_tail(log)}", hint=f"see {log}", program=name
                )

    def wait(self) -> None:
        """Wait until supervisord ends by itself."""
        while self.running:
            time.sleep(_POLL_S)

    def stop(self) -> None:
        """Stop all programs in order, then supervisord; whatever is left after `STOP_TIMEOUT_S` is killed.

        A KeyboardInterrupt while it waits makes it kill at once.
        """
        try:
            if self._child is not None and self.running:
                self._child.terminate()
                self._child.wait(STOP_TIMEOUT_S)
            # If supervisord was killed, its programs were told to stop by the kernel and are ours now.
            psutil.wait_procs(self._children(), timeout=_ORPHANS_TIMEOUT_S)
        except (subprocess.TimeoutExpired, KeyboardInterrupt):
            pass
        finally:
            self._kill_children()

    def _children(self) -> list[psutil.Process]:
        return [child for child in psutil.Process().children() if child not in self._strangers]

    def _kill_children(self) -> None:
        # Parents first, so that they start nothing again; the orphans of the killed become our children in turn.
        deadline_mono_s = mono_s() + 10
        while (children := self._children()) and mono_s() < deadline_mono_s:
            for child in children:
                child.kill()
            psutil.wait_procs(children, timeout=1)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def _tail(log: Any, lines: int = 6) -> str:
    try:
        return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])
    except OSError as error:
        return f"(no log: {error.strerror})"
