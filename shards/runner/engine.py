"""What runs a session's page: the seam between a session's life and Chromium, as the runner sees it.

The product has one engine, `shards.runner.chromium`. Whatever stands in its place must keep what is said here, and the
promises of a process: a browser runs on when its shard is stopped, and ends when its shard dies.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from daemon.core.settings import Settings
from daemon.sessions.outgoing import Outgoing
from shards.page.calls import MediaFile, SentMessage
from shards.page.events import Take
from shards.page.state import PageSnapshot
from shards.profile.layout import ShardLayout
from shards.restore.restored import Restored


class Page(Protocol):
    """An open page, as `shards.page.driver.WhatsAppPage`: each call has its own time limit and errors."""

    async def snapshot(self) -> PageSnapshot:
        """Return where the page is."""

    async def refresh_qr(self) -> None:
        """Ask for new QR codes."""

    async def pairing_code(self, phone: str) -> str:
        """Ask for a pairing code."""

    async def logout(self) -> None:
        """Unlink this device."""

    async def send(self, message: Outgoing, *, body: bytes | None = None) -> SentMessage:
        """Send a message; `body` are the bytes of a file. The same message id sends once."""

    async def find_number(self, phone: str) -> str | None:
        """Return the chat id of a phone number (digits), or None when WhatsApp has no account for it."""

    async def download_media(self, message_id: str, *, limit_bytes: int) -> MediaFile:
        """Return the file of a message."""

    def collect_garbage(self) -> None:
        """Give back memory that is not used any more; the page's scripts stand still meanwhile."""


class OpenPage(Protocol):
    """A page with the browser that shows it."""

    @property
    def page(self) -> Page:
        """The page."""

    @property
    def lost(self) -> asyncio.Future[str]:
        """Done, with the reason, once the browser is gone or cannot be reached."""

    @property
    def last_words(self) -> str:
        """What the browser said last on its standard error."""


class SessionBrowser(Protocol):
    """At most one browser of one session."""

    @property
    def is_open(self) -> bool:
        """Whether a page is open."""

    async def open(self, restored: Restored, take: Take) -> OpenPage:
        """Start the browser on the restored profile and load the page; `take` gets all it tells, to its very end.

        Raises:
            BrowserError, PageTimeoutError: it did not come up; nothing is left running.
        """

    async def cut_off(self) -> None:
        """Cut the page off from WhatsApp, as far as that can be done: it takes and confirms nothing more."""

    async def overlay(self) -> Mapping[str, bytes]:
        """Return the additional files of a live snapshot.

        Raises:
            SnapshotError: the page is not logged in now, so a copy of it would be worth nothing.
            BrowserError, PageTimeoutError: the page does not answer.
        """

    async def last_overlay(self) -> Mapping[str, bytes] | None:
        """Return the same before the end, empty when the page does not answer; None when it is not logged in."""

    async def close(self) -> bool:
        """End the browser and wait for its exit; True if it ended by itself, so that its files are complete."""

    async def discard(self) -> None:
        """Kill the browser, if there is one, and wait for its exit."""

    def kill(self) -> None:
        """Kill the browser at once, whatever state it is in."""


class Engine(Protocol):
    """Makes the browsers of one shard."""

    @property
    def version(self) -> str:
        """Version of the browser, as `156.0.8078.79`: profiles written by a newer one are not opened."""

    def browser(self, session_id: str, profile_dir: Path) -> SessionBrowser:
        """Return the browser of a session; nothing is started yet."""


@dataclass(frozen=True, kw_only=True)
class EngineParts:
    """What of its shard an engine needs."""

    settings: Settings
    layout: ShardLayout
    notes_dir: Path
    """Where the process groups of running browsers are noted, as shards.browser.orphans reads them."""
    executor: Executor


MakeEngine = Callable[[EngineParts], Awaitable[Engine]]
