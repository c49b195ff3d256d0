"""One Chromium process group: start, DevTools endpoint, exit. Owns the process; the connection is another's.

Chromium is started by us and not by pyppeteer, whose launch() blocks the event loop, replaces signal handlers and
leaves Chromium running when its parent is killed.
"""

import asyncio
import contextlib
import dataclasses
import os
import signal
import subprocess
from typing import Any, Protocol, Self

from daemon.core.clock import mono_s
from daemon.core.errors import BrowserError, PageTimeoutError
from daemon.core.settings import child_environment
from shards.browser.flags import BrowserSpec, plain_user_agent, plan_flags
from shards.browser.locks import clear_stale_lock
from shards.browser.orphans import write_note
from shards.browser.procfs import group_members, is_busy
from shards.browser.stderr import StderrReader
from shards.browser.version import binary_version

_GROUP_GRACE_S = 2.0
_KILL_WAIT_S = 5.0
_REST_LOOK_S = 0.01
_REST_LOOKS = 2


class Closes(Protocol):
    """Whoever can ask Chromium over DevTools to end itself."""

    async def request_browser_close(self, timeout_s: float) -> None:
        """Ask it; return before it has ended. BrowserError if it cannot be asked."""


class BrowserProcess:
    """A running Chromium and all its children, in a process group of their own.

    Start it on the thread of the event loop: the kernel ends Chromium (PR_SET_PDEATHSIG) when the *thread* that
    started it ends, which is what makes a killed shard take its browsers along.
    """

    def __init__(self, child: "subprocess.Popen[bytes]", spec: BrowserSpec, version: str) -> None:
        loop = asyncio.get_running_loop()
        self._child = child
        self._spec = spec
        self._loop = loop
        self._closing = False
        self._reaped = False
        self._pidfd = os.pidfd_open(child.pid)
        assert child.stderr is not None
        self._stderr = StderrReader(child.stderr)
        self.version = version
        """Version of the binary, like "156.0.8078.79"."""
        self.user_agent = spec.user_agent or ""
        self.exited: asyncio.Future[int] = loop.create_future()
        """Done as soon as the browser process has ended; the exit code, or minus the signal."""
        loop.add_reader(self._pidfd, self._on_exit)

    @classmethod
    async def start(cls, spec: BrowserSpec, *, timeout_s: float) -> Self:
        """Start Chromium and return once its DevTools port is open.

        Raises:
            BrowserError: it did not start (its last words are in the message), or the profile is in use.
            PageTimeoutError: it was not ready in time, and was killed.
        """
        deadline_mono_s = mono_s() + timeout_s
        version = await binary_version(spec.chromium_path)
        user_agent = spec.user_agent or plain_user_agent(version)
        spec = dataclasses.replace(spec, user_agent=user_agent, profile_dir=spec.profile_dir.absolute())
        spec.profile_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        clear_stale_lock(spec.profile_dir)
        process = cls(_spawn(spec), spec, version)
        try:
            if spec.pgid_file is not None:
                write_note(spec.pgid_file, process.pid)
            await process._wait_endpoint(max(0.1, deadline_mono_s - mono_s()))
        except BaseException:
            process.kill()
            await asyncio.wait({process.exited}, timeout=_KILL_WAIT_S)
            raise
        return process

    @property
    def pid(self) -> int:
        """Process id of the browser process, which is also the id of its group."""
        return self._child.pid

    @property
    def ws_endpoint(self) -> str:
        """Address of the browser's DevTools; whoever knows it controls the browser."""
        return self._stderr.endpoint.result()

    @property
    def last_words(self) -> str:
        """The last lines of Chromium's standard error that say something."""
        return self._stderr.last_words

    async def close(self, grace_s: float, connection: Closes | None = None) -> bool:
        """End Chromium and return after the process and all its children have ended; safe to call again.

        It is asked over `connection` if there is one. Without one it gets SIGTERM, on which full Chromium ends
        properly but headless-shell dies at once without writing what it holds.

        Returns:
            Whether it ended by itself in time, so that the files of its profile are complete.
        """
        deadline_mono_s = mono_s() + grace_s
        asked = not self.exited.done() and not self._closing
        self._closing = True
        try:
            if asked:
                await self._ask_to_end(grace_s, connection)
            await asyncio.wait({self.exited}, timeout=max(0.0, deadline_mono_s - mono_s()))
            clean = self.exited.done() and self.exited.result() == 0
            if clean:
                clean = await self._group_gone(_GROUP_GRACE_S)
        finally:
            self.kill()
        await asyncio.wait({self.exited}, timeout=_KILL_WAIT_S)
        self._reap()
        if not self.exited.done():
            raise BrowserError("Chromium does not die", hint="a process in state D waits for its disk", pid=self.pid)
        return clean

    async def at_rest(self, limit_s: float) -> bool:
        """Wait until no thread of the browser process has anything to do; False if that takes more than `limit_s`.

        What it was told has then gone from thread to thread to its end. Threads that wait for a processor count as
        busy, so this holds on a loaded host, too. Chromium has no command that says so.
        """
        deadline_mono_s = mono_s() + limit_s
        quiet = 0
        while quiet < _REST_LOOKS and not self.exited.done():
            if mono_s() >= deadline_mono_s:
                return False
            await asyncio.sleep(_REST_LOOK_S)
            quiet = 0 if is_busy(self.pid) else quiet + 1
        return True

    def kill(self) -> None:
        """Kill the whole group at once. Synchronous; safe at any time and any number of times."""
        # As long as the browser process is not reaped its number, and so its group's, cannot be somebody else's.
        if not self._reaped:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)

    async def _ask_to_end(self, grace_s: float, connection: Closes | None) -> None:
        if connection is not None:
            try:
                await connection.request_browser_close(grace_s)
                return
            except BrowserError:
                pass  # a browser that cannot be asked gets the signal
        if not self.exited.done():
            os.kill(self.pid, signal.SIGTERM)

    async def _group_gone(self, timeout_s: float) -> bool:
        """Wait for the children: full Chromium's network service may still be writing cookies after the exit."""
        deadline_mono_s = mono_s() + timeout_s
        while group_members(self.pid):
            if mono_s() > deadline_mono_s:
                return False
            await asyncio.sleep(0.02)
        return True

    async def _wait_endpoint(self, timeout_s: float) -> None:
        endpoint = self._stderr.endpoint
        waits: list[asyncio.Future[Any]] = [endpoint, self.exited]
        await asyncio.wait(waits, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        if endpoint.done():
            return
        if self.exited.done():
            raise BrowserError(
                f"Chromium ended with {self.exited.result()} while starting: {self.last_words}",
                hint=_start_hint(self.last_words),
                binary=self._spec.chromium_path,
            )
        raise PageTimeoutError(
            f"Chromium did not open its DevTools port in {timeout_s:.0f} s: {self.last_words}", pid=self.pid
        )

    def _on_exit(self) -> None:
        self._loop.remove_reader(self._pidfd)
        self._stderr.read()
        ended = os.waitid(os.P_PIDFD, self._pidfd, os.WEXITED | os.WNOWAIT)
        code = ended.si_status if ended and ended.si_code == os.CLD_EXITED else -(ended.si_status if ended else 0)
        if not self.exited.done():
            self.exited.set_result(code)
        if not self._closing:
            # Nobody is closing it, so it crashed: its children have nothing left to finish.
            self.kill()
            self._reap()

    def _reap(self) -> None:
        if self._reaped or not self.exited.done():
            return
        self._reaped = True
        self._child.wait()
        self._stderr.close()
        os.close(self._pidfd)
        if self._spec.pgid_file is not None:
            self._spec.pgid_file.unlink(missing_ok=True)


def _spawn(spec: BrowserSpec) -> "subprocess.Popen[bytes]":
    argv = ["setpriv", "--pdeathsig", "KILL", "--", str(spec.chromium_path), *plan_flags(spec)]
    try:
        return subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,
            # Not ours: it holds secrets, and Chromium runs code from the web.
            env=child_environment() | ({"TMPDIR": str(spec.tmp_dir)} if spec.tmp_dir else {}),
        )
    except OSError as error:
        raise BrowserError(
            f"cannot start Chromium: {error.strerror}", hint="setpriv comes with the package util-linux"
        ) from error


def _start_hint(last_words: str) -> str:
    if "--no-sandbox is not supported" in last_words or "without --no-sandbox" in last_words:
        return "run as an unprivileged user, or set CHROMIUM_SANDBOX=off"
    if "sandbox" in last_words:
        return "allow unprivileged user namespaces, or set CHROMIUM_SANDBOX=off"
    return "try the same binary by hand; CHROMIUM_PATH and CHROMIUM_EXTRA_ARGS say what is started"
