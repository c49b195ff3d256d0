"""A page on the stand-in, and the phone and the people around it, for tests of the driver."""

import json
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from daemon.core.errors import BrowserError
from daemon.sessions.outgoing import Outgoing, Text
from daemon.sessions.sends import new_message_id
from shards.browser.connection import BrowserConnection
from shards.browser.process import BrowserProcess
from shards.page.bundle import load_bundle
from shards.page.calls import SentMessage
from shards.page.driver import PageTimeouts, WhatsAppPage
from shards.page.events import PageEvent, PageEventKind
from shards.page.overlay import Overlay
from shards.page.state import PageSnapshot, PageState
from tests.integration.browser.rig import eventually, spec_in
from tests.standin import StandIn

PHONE = "5511999990000"
ALICE = "5511888880001"
BOB = "5511888880002"
FAST = PageTimeouts(load_s=20, call_s=5, send_s=5, file_s=10)


@dataclass
class OpenPage:
    """One Chromium with the page in it."""

    process: BrowserProcess
    connection: BrowserConnection
    page: WhatsAppPage
    told: list[PageEvent] = field(default_factory=list)

    async def state(self, *wanted: PageState, limit_s: float = 30) -> PageSnapshot:
        """Wait for one of the states."""
        return await eventually(self.page.snapshot, lambda taken: taken.state in wanted, limit_s)

    async def event(self, kind: PageEventKind, wanted: Callable[[Any], bool] = lambda data: True) -> Any:
        """Wait for an event and return its data; `told` holds all that came so far."""

        async def find() -> Any:
            return next((told.data for told in self.told if told.kind is kind and wanted(told.data)), None)

        return await eventually(find, lambda data: data is not None)


async def send_text(page: WhatsAppPage, to: str, text: str, *, message_id: str | None = None) -> SentMessage:
    """Send a text."""
    content = Text(text=text)
    return await page.send(Outgoing(to=to, message_id=message_id or new_message_id(), content=content))


async def _started(home: Path) -> BrowserProcess:
    """Start Chromium, once more if it crashes at its start, as it does now and then on a busy machine."""
    try:
        return await BrowserProcess.start(spec_in(home), timeout_s=30)
    except BrowserError as error:
        if "ended with -" not in error.message:
            raise
    return await BrowserProcess.start(spec_in(home), timeout_s=30)


class World:
    """The stand-in and the sessions of one test, each in a profile of its own."""

    def __init__(self, standin: StandIn, directory: Path) -> None:
        self.standin = standin
        self.directory = directory

    async def tell(self, action: str, **body: Any) -> Any:
        """Call the stand-in's control API."""
        async with httpx.AsyncClient(trust_env=False, timeout=30) as client:
            # Not as httpx writes JSON: a test may say what no UTF-8 can.
            answer = await client.post(f"{self.standin.control_url}/{action}", content=json.dumps(body))
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def ask(self, what: str) -> Any:
        """Read from the stand-in's control API."""
        async with httpx.AsyncClient(trust_env=False, timeout=30) as client:
            return (await client.get(f"{self.standin.control_url}/{what}")).json()

    @asynccontextmanager
    async def page(
        self,
        name: str = "session",
        *,
        overlay: Overlay | None = None,
        timeouts: PageTimeouts = FAST,
        busy: Callable[[], None] = lambda: None,
    ) -> AsyncIterator[OpenPage]:
        """Open the page on the profile of that name; close Chromium cleanly afterwards if it still runs.

        `busy` is what comes up before each event is taken.
        """

        def take(event: PageEvent) -> None:
            busy()
            told.append(event)

        home = self.directory / name
        home.mkdir(exist_ok=True)
        process = await _started(home)
        connection, told = None, list[PageEvent]()
        try:
            connection = await BrowserConnection.open(process, timeout_s=10)
            page = await WhatsAppPage.open(
                connection,
                url=self.standin.url,
                bundle=load_bundle(),
                take=take,
                overlay=overlay,
                timeouts=timeouts,
            )
            yield OpenPage(process, connection, page, told)
        finally:
            await process.close(5, connection)
            if connection is not None:
                await connection.close()

    @asynccontextmanager
    async def paired(self, name: str = "session", *, timeouts: PageTimeouts = FAST) -> AsyncIterator[OpenPage]:
        """Open the page, scan its QR code and wait until it is connected."""
        async with self.page(name, timeouts=timeouts) as opened:
            shown = await opened.state(PageState.QR)
            shown = (
                await eventually(opened.page.snapshot, lambda taken: taken.qr is not None) if not shown.qr else shown
            )
            await self.tell("scan", qr=shown.qr, phone=PHONE)
            await opened.state(PageState.CONNECTED)
            yield opened

    def lose(self, name: str, part: str) -> None:
        """Delete a part of a closed profile."""
        shutil.rmtree(self.directory / name / "profile" / "Default" / part)
