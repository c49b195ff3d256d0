"""The simulated engine: keeps the promises of `shards.runner.engine` with `browser.py` in Chromium's place."""

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from daemon.core.errors import BrowserError, PageCallError, SnapshotError
from daemon.core.settings import child_environment
from daemon.sessions.outgoing import Outgoing
from shards.browser.orphans import SUFFIX, write_note
from shards.page.calls import MediaFile, SentMessage
from shards.page.events import PageEvent, PageEventKind, Take
from shards.page.overlay import OVERLAY_FILE, Overlay
from shards.page.state import BOOTING, PageSnapshot, PageState
from shards.restore.restored import Restored
from shards.runner.engine import EngineParts, MakeEngine
from tests.faults.simulation.browser import Lines, write_state
from tests.unit.profile.leveldb_files import edit, log_file

_SCRIPT = Path(__file__).with_name("browser.py")
_ORIGIN = "https://web.whatsapp.com"
_DATABASE = "Default/IndexedDB/https_web.whatsapp.com_0.indexeddb.leveldb"
_CLOSE_S = 5.0


class SimulatedEngine:
    """Starts simulated browsers, which connect to the judge."""

    version = "156.0.0.0"

    def __init__(self, parts: EngineParts, judge: Path) -> None:
        self._parts = parts
        self._judge = judge

    def browser(self, session_id: str, profile_dir: Path) -> "SimulatedBrowser":
        """Return the browser of a session; nothing is started yet."""
        return SimulatedBrowser(self._parts.notes_dir, self._judge, session_id, profile_dir)


def simulated_engine(judge: Path) -> MakeEngine:
    """Return what makes the engine of a shard whose sessions log in at this judge."""

    async def make(parts: EngineParts) -> SimulatedEngine:
        return SimulatedEngine(parts, judge)

    return make


class SimulatedPage:
    """The page in a simulated browser, as its lines tell."""

    def __init__(self, line: socket.socket, take: Take) -> None:
        self._tell = take
        self.state: str | None = None
        """`device counter` of the login; None before."""
        self._qr: str | None = None
        self._phone: str | None = None
        self._line = line
        self._lines = Lines(line.fileno())
        self._gone = False
        asyncio.get_running_loop().add_reader(line, self._read)

    def _read(self) -> None:
        came = self._lines.read()
        if came is None:
            self.forget()
            return
        for text in came:
            self._take(text)

    def _take(self, text: str) -> None:
        word, _, rest = text.partition(" ")
        match word:
            case "qr":
                self._qr = rest
            case "in":
                self.state, self._qr = rest, None
                self._phone = "49151" + rest.partition(" ")[0].rjust(6, "0")
            case "message":
                data = {
                    "id": rest,
                    "from": "1",
                    "to": "2",
                    "body": "",
                    "type": "chat",
                    "timestamp": 0,
                    "from_me": False,
                }
                self._tell(PageEvent(kind=PageEventKind.MESSAGE, data=data))
        self._tell(PageEvent(kind=PageEventKind.STATE_HINT, data={"source": "simulation"}))

    def forget(self) -> None:
        """Take no more lines."""
        if not self._gone:
            self._gone = True
            asyncio.get_running_loop().remove_reader(self._line)

    def ask(self, text: str) -> None:
        """Send the browser a line."""
        try:
            self._line.send(f"{text}\n".encode())
        except OSError as error:
            raise BrowserError("the simulated browser is gone") from error

    async def snapshot(self) -> PageSnapshot:
        """Return where the page is."""
        if self._gone:
            raise BrowserError("the simulated browser is gone")
        if self.state is not None:
            return PageSnapshot(state=PageState.CONNECTED, phone=self._phone, pushname="Simulation")
        return PageSnapshot(state=PageState.QR, qr=self._qr) if self._qr else BOOTING

    async def refresh_qr(self) -> None:
        """Codes are never used up here."""

    async def pairing_code(self, phone: str) -> str:
        """There are none here."""
        raise PageCallError("no pairing codes here", outcome="not_sent")

    async def logout(self) -> None:
        """Nobody logs out here."""
        raise PageCallError("no logout here", outcome="not_sent")

    async def send(self, message: Outgoing, *, body: bytes | None = None) -> SentMessage:
        """Have the judge note a message."""
        self.ask(f"send {message.message_id}")
        return SentMessage(message_id=message.message_id, ack=1, timestamp=0)

    async def find_number(self, phone: str) -> str | None:
        """Everybody is on WhatsApp here."""
        return f"{phone}@c.us"

    async def download_media(self, message_id: str, *, limit_bytes: int) -> MediaFile:
        """There are no files here."""
        raise PageCallError("no media here", outcome="not_sent", reason="message_not_found")

    def collect_garbage(self) -> None:
        """There is none here."""


class SimulatedOpen:
    """A simulated browser with its page."""

    last_words = ""

    def __init__(self, page: SimulatedPage, lost: "asyncio.Future[str]") -> None:
        self.page = page
        self.lost = lost


class SimulatedBrowser:
    """At most one simulated browser of one session."""

    def __init__(self, notes_dir: Path, judge: Path, session_id: str, profile_dir: Path) -> None:
        self._note = notes_dir / f"{session_id}{SUFFIX}"
        self._judge = judge
        self._session_id = session_id
        self._profile_dir = profile_dir
        self._child: subprocess.Popen[bytes] | None = None
        self._pidfd = -1
        self._exited: asyncio.Future[int] | None = None
        self._line: socket.socket | None = None
        self._page: SimulatedPage | None = None

    @property
    def is_open(self) -> bool:
        """Whether a page is open."""
        return self._page is not None

    async def open(self, restored: Restored, take: Take) -> SimulatedOpen:
        """Start the browser on the restored profile."""
        loop = asyncio.get_running_loop()
        furnish(self._profile_dir)
        if restored.overlay is not None:
            write_state(str(self._profile_dir), restored.overlay.local_storage["state"])
        ours, theirs = socket.socketpair()
        with theirs:
            self._child = self._spawn(theirs)
        write_note(self._note, self._child.pid)
        self._pidfd = os.pidfd_open(self._child.pid)
        self._exited = loop.create_future()
        lost: asyncio.Future[str] = loop.create_future()
        loop.add_reader(self._pidfd, self._on_exit, self._child, self._exited, lost)
        self._line = ours
        self._page = SimulatedPage(ours, take)
        return SimulatedOpen(self._page, lost)

    def _spawn(self, line: socket.socket) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", "--", sys.executable, "-I", "-S", _SCRIPT,
             f"--user-data-dir={self._profile_dir}", self._judge, self._session_id],
            stdin=line,
            stdout=line,
            start_new_session=True,
            env=child_environment(),
        )  # fmt: skip

    def _on_exit(
        self, child: "subprocess.Popen[bytes]", exited: "asyncio.Future[int]", lost: "asyncio.Future[str]"
    ) -> None:
        asyncio.get_running_loop().remove_reader(self._pidfd)
        os.close(self._pidfd)
        status = child.wait()
        self._note.unlink(missing_ok=True)
        for future, result in ((exited, status), (lost, f"ended with {status}")):
            if not future.done():
                future.set_result(result)  # type: ignore[arg-type]  # each its own

    async def cut_off(self) -> None:
        """There is nothing to cut here."""

    async def overlay(self) -> Mapping[str, bytes]:
        """Return the additional files of a live snapshot."""
        if self._page is None or self._page.state is None:
            raise SnapshotError("the page is not logged in now")
        overlay = Overlay(origin=_ORIGIN, local_storage={"state": self._page.state}, cookies=())
        return {OVERLAY_FILE: overlay.to_json()}

    async def last_overlay(self) -> Mapping[str, bytes] | None:
        """Return the same before the end; None when it is not logged in."""
        try:
            return await self.overlay()
        except SnapshotError:
            return None

    async def close(self) -> bool:
        """End the browser and wait for its exit; True if it ended by itself."""
        page, self._page = self._page, None
        if page is None or self._exited is None:
            return False
        with contextlib.suppress(BrowserError):
            page.ask("close")
        await asyncio.wait([self._exited], timeout=_CLOSE_S)
        self.kill()
        status = await self._exited
        self._shut(page)
        return status == 0

    async def discard(self) -> None:
        """Kill the browser, if there is one, and wait for its exit."""
        page, self._page = self._page, None
        self.kill()
        if self._exited is not None:
            await asyncio.shield(self._exited)
        if page is not None:
            self._shut(page)

    def _shut(self, page: SimulatedPage) -> None:
        page.forget()
        if self._line is not None:
            self._line.close()
            self._line = None

    def kill(self) -> None:
        """Kill the browser at once, whatever state it is in."""
        # Not reaped before its exit was seen, so its number cannot be another's.
        if self._child is not None and self._exited is not None and not self._exited.done():
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._child.pid, signal.SIGKILL)


@cache
def _empty_database() -> tuple[tuple[str, bytes], ...]:
    manifest = log_file([edit(comparator=b"idb_cmp1", log=2)])
    return (("CURRENT", b"MANIFEST-000001\n"), ("MANIFEST-000001", manifest), ("000002.log", b""))


def furnish(profile_dir: Path) -> None:
    """Give a new profile the database that every Chromium makes."""
    database = profile_dir / _DATABASE
    if database.exists():
        return
    database.mkdir(parents=True)
    for name, content in _empty_database():
        (database / name).write_bytes(content)
