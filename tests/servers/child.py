"""A server as a child process: started, waited for until it can be used, and ended with its whole process group."""

import contextlib
import os
import queue
import re
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from daemon.embedded.parent import die_with_parent

_END_S = 10.0


@contextlib.contextmanager
def running(
    command: Sequence[str | Path], *, env: Mapping[str, str] | None = None, ready: str, limit_s: float = 60.0
) -> Iterator[re.Match[str]]:
    """Run a server; gives the match of the first line of its output in which the pattern `ready` is found.

    The child gets SIGTERM when this process is killed.
    """
    child = subprocess.Popen(
        [str(part) for part in command],
        env={**os.environ, **(env or {})},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
        preexec_fn=die_with_parent,
    )
    try:
        yield _wait_ready(child, ready, limit_s)
    finally:
        end(child)


def end(child: "subprocess.Popen[str]", number: signal.Signals = signal.SIGTERM) -> None:
    """End a child and everything that it started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, number)
    with contextlib.suppress(subprocess.TimeoutExpired):
        child.wait(_END_S)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()
    for stream in (child.stdin, child.stdout):
        if stream is not None:
            stream.close()


def _wait_ready(child: "subprocess.Popen[str]", ready: str, limit_s: float) -> re.Match[str]:
    """Read the output on a thread, for ever: a full pipe would stop the server."""
    lines: queue.Queue[str | None] = queue.Queue()

    def read() -> None:
        assert child.stdout is not None
        with contextlib.suppress(ValueError):
            for line in child.stdout:
                lines.put(line)
        lines.put(None)

    threading.Thread(target=read, daemon=True, name=f"output of {child.pid}").start()
    deadline_mono_s, seen = time.monotonic() + limit_s, []
    while (left_s := deadline_mono_s - time.monotonic()) > 0:
        try:
            line = lines.get(timeout=left_s)
        except queue.Empty:
            break
        if line is None:
            break
        seen.append(line)
        if found := re.search(ready, line):
            return found
    raise RuntimeError(f"server did not get ready: {child.args!r}\n{''.join(seen[-20:])}")


def free_ports(count: int) -> int:
    """Return the first of `count` ports in a row that are free now, below those that the system gives to clients."""
    start = 10000 + (os.getpid() * 97) % 20000
    for first in (*range(start, 31000, count), *range(10000, start, count)):
        if _all_free(range(first, first + count)):
            return first
    raise RuntimeError(f"no {count} free ports in a row")


def _all_free(ports: range) -> bool:
    with contextlib.ExitStack() as held:
        try:
            for port in ports:
                held.enter_context(socket.create_server(("127.0.0.1", port)))
        except OSError:
            return False
    return True


def retried(start: Callable[[], contextlib.AbstractContextManager[str]]) -> contextlib.AbstractContextManager[str]:
    """Enter `start()`, up to three times: another process may take a port between the look and its use."""

    @contextlib.contextmanager
    def entered() -> Iterator[str]:
        with contextlib.ExitStack() as stack:
            for left in (2, 1, 0):
                try:
                    address = stack.enter_context(start())
                    break
                except RuntimeError:
                    if not left:
                        raise
            yield address

    return entered()
