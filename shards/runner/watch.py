"""Watching an open page: reads its state again and again and turns changes into record, events and endings."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import structlog

from daemon.core.clock import mono_s, utc_now
from daemon.core.errors import BrowserError, PageTimeoutError
from daemon.sessions.events import EventKind
from daemon.sessions.states import SessionState
from shards.page.state import PageSnapshot, PageState
from shards.publisher import Publisher
from shards.restore.phases import LOGIN, SYNC
from shards.restore.restored import Restored
from shards.runner.ending import LOGGED_OUT, LOGIN_NOT_ACCEPTED, OPENED_ELSEWHERE, Ending
from shards.runner.engine import Page
from shards.runner.hearing import Hearing
from shards.runner.notes import SessionNotes

log = structlog.get_logger()

_LOOK_INTERVAL_S = 1.0
_BOOTING_LOOK_INTERVAL_S = 0.2
_RESTING_LOOK_INTERVAL_S = 10.0
"""Of a page that stays connected: it tells by itself when that changes, and is looked at in case that gets lost."""
_CALM_LOOKS = 5
_GIVES_WAY_S = 180.0
"""As starts may wait for memory, too, what frees some does not wait for them for ever."""
_QR_MUST_STAY_S = 3.0
"""A restored page may show the QR screen for a moment; only one that stays means that the login was not accepted."""
_HUNG_AFTER = 3
_LOOKS_WITHOUT_QR = 3


class PageWatch:
    """What is known of one open page."""

    def __init__(
        self,
        page: Page,
        hearing: Hearing,
        notes: SessionNotes,
        publisher: Publisher,
        restored: Restored,
        *,
        on_login: Callable[[], Awaitable[None]],
        sync_timeout_s: float,
        boot_timeout_s: float,
        starting: Callable[[], bool],
    ) -> None:
        """`on_login` is awaited when the page is seen logged in and each time it gets connected: back up now.

        `starting` says whether other sessions start here, which need the processor now.
        """
        self._page = page
        self._hearing = hearing
        self._notes = notes
        self._publisher = publisher
        self._restored = restored
        self._on_login = on_login
        self._sync_timeout_s = sync_timeout_s
        self._boot_timeout_s = boot_timeout_s
        self._starting = starting
        self._unexpected_qr_since_mono_s: float | None = None
        self._began_mono_s = mono_s()
        self._not_connected_since_mono_s = mono_s()
        self._looks_without_qr = 0
        self._calm_looks = 0
        self._untidy_since_mono_s: float | None = None
        self._greeted = False
        self._logged_in_mono_s = 0.0
        self._scanned = restored.source is None and not notes.record.paired
        self.logged_in = False
        """Whether the page was logged in at any moment."""
        self.settled = asyncio.Event()
        """Set once the page shows a QR code or is logged in: starting is over."""
        self.authenticated = asyncio.Event()
        """Set once the page is logged in and a first copy of that was tried."""
        self.connected = asyncio.Event()
        """Set once the session has been connected."""

    async def run(self) -> Ending:
        """Look until the page itself ends the session.

        Raises:
            BrowserError: the page hangs, or does not get anywhere in its time limit.
            StaleTokenError, SessionNotFoundError: from the record: end at once.
        """
        hung = 0
        while True:
            self._hearing.look_again.clear()
            try:
                snapshot = await self._page.snapshot()
                hung = 0
            except PageTimeoutError:
                hung += 1
                if hung >= _HUNG_AFTER:
                    raise
                continue
            ending = await self._react(snapshot)
            if ending is not None:
                return ending
            if self._hearing.active:
                self._hearing.active = False
                await self._notes.touch()
            written = await self._notes.flush()
            interval_s = self._interval_s(snapshot, written=written)
            self._tidy(resting=interval_s == _RESTING_LOOK_INTERVAL_S)
            await self._pause(interval_s)

    def _interval_s(self, snapshot: PageSnapshot, *, written: bool) -> float:
        """Return when to look again; what Redis did not take is tried again at each look, so that is no rest."""
        calm = snapshot.state is PageState.CONNECTED and self.connected.is_set() and written
        self._calm_looks = self._calm_looks + 1 if calm else 0
        if self._calm_looks >= _CALM_LOOKS:
            return _RESTING_LOOK_INTERVAL_S
        booting = not self.settled.is_set() or snapshot.state is PageState.SYNCING
        return _BOOTING_LOOK_INTERVAL_S if booting else _LOOK_INTERVAL_S

    def _tidy(self, *, resting: bool) -> None:
        """Collect the page's garbage once after it got connected; sessions that start go first, but not for long."""
        if not resting or self._untidy_since_mono_s is None:
            return
        if self._starting() and mono_s() - self._untidy_since_mono_s < _GIVES_WAY_S:
            return
        self._untidy_since_mono_s = None
        self._page.collect_garbage()

    async def _pause(self, interval_s: float) -> None:
        try:
            async with asyncio.timeout(interval_s):
                await self._hearing.look_again.wait()
        except TimeoutError:
            return
        self._calm_looks = 0

    async def logged_out(self) -> Ending:
        """Return when the page tells that WhatsApp ended the login."""
        await self._hearing.logged_out.wait()
        return LOGGED_OUT

    async def _react(self, snapshot: PageSnapshot) -> Ending | None:
        match snapshot.state:
            case PageState.LOGGED_OUT:
                return LOGGED_OUT
            case PageState.CONFLICT:
                return OPENED_ELSEWHERE
            case PageState.QR | PageState.PAIRING:
                return await self._needs_scan(snapshot)
            case PageState.SYNCING | PageState.OFFLINE | PageState.CONNECTED:
                await self._logged_in(snapshot)
            case PageState.BOOTING:
                if not self.settled.is_set() and mono_s() - self._began_mono_s > self._boot_timeout_s:
                    raise BrowserError("WhatsApp Web does not come up", hint="is WHATSAPP_WEB_URL reachable?")
        return None

    async def _needs_scan(self, snapshot: PageSnapshot) -> Ending | None:
        if self._notes.record.paired and not self._notes.record.scan_allowed:
            return self._unexpected_qr()
        self._scanned = True
        self.settled.set()
        if snapshot.state is PageState.PAIRING:
            await self._notes.move(SessionState.PAIRING)
            return None
        if snapshot.qr is None:
            await self._ask_for_qr()
            return None
        fresh = await self._notes.show_qr(snapshot.qr)
        await self._notes.move(SessionState.QR, failures=0)
        if fresh:
            await self._publisher.tell(EventKind.QR, {"qr": snapshot.qr})
        return None

    async def _ask_for_qr(self) -> None:
        """WhatsApp gives about six codes and then waits to be asked; between two codes there is none for a moment."""
        self._looks_without_qr += 1
        if self._looks_without_qr >= _LOOKS_WITHOUT_QR:
            self._looks_without_qr = 0
            await self._notes.show_nothing()
            await self._page.refresh_qr()

    def _unexpected_qr(self) -> Ending | None:
        if self._unexpected_qr_since_mono_s is None:
            self._unexpected_qr_since_mono_s = mono_s()
        stayed_s = mono_s() - self._unexpected_qr_since_mono_s
        return LOGIN_NOT_ACCEPTED if stayed_s >= _QR_MUST_STAY_S else None

    async def _logged_in(self, snapshot: PageSnapshot) -> None:
        self._unexpected_qr_since_mono_s = None
        if snapshot.phone is None:
            return  # the phone has scanned, the login itself is still to come
        self.settled.set()
        if not self.logged_in:
            await self._authenticate(snapshot)
        if snapshot.state is PageState.CONNECTED:
            await self._get_connected(snapshot)
        else:
            await self._get_syncing(snapshot)

    async def _authenticate(self, snapshot: PageSnapshot) -> None:
        self.logged_in, self._logged_in_mono_s = True, mono_s()
        self._restored.phases.add(LOGIN, self._logged_in_mono_s - self._began_mono_s)
        data, identity = {"phone": snapshot.phone, "pushname": snapshot.pushname}, f"login:{self._publisher.token}"
        if self._scanned:
            # A crash after the record says so would leave nobody to tell it.
            self._publisher.keep(EventKind.AUTHENTICATED, data, identity=identity)
        await self._notes.show_nothing()
        await self._notes.move(
            SessionState.SYNCING,
            paired=True,
            scan_allowed=False,
            phone=snapshot.phone,
            pushname=snapshot.pushname or self._notes.record.pushname,
        )
        # A restored login changed the profile, too, and its sync may last: a crash now must not go back before it.
        # Before anybody is told: what is authenticated survives a crash.
        await self._on_login()
        self.authenticated.set()
        if self._scanned:
            await self._publisher.tell(EventKind.AUTHENTICATED, data, identity=identity)

    async def _get_syncing(self, snapshot: PageSnapshot) -> None:
        if self._notes.record.status is SessionState.CONNECTED:
            self._not_connected_since_mono_s = mono_s()
        offline = snapshot.state is PageState.OFFLINE
        await self._notes.move(SessionState.SYNCING, reason="offline" if offline else None)
        waited_s = mono_s() - self._not_connected_since_mono_s
        if not offline and waited_s > self._sync_timeout_s:
            raise BrowserError(f"WhatsApp Web did not finish syncing in {self._sync_timeout_s:.0f} s")

    async def _get_connected(self, snapshot: PageSnapshot) -> None:
        if self._notes.record.status is SessionState.CONNECTED:
            return
        facts: dict[str, Any] = {"phone": snapshot.phone, "pushname": snapshot.pushname}
        if not self._greeted and self._restored.source is not None:
            facts |= {"restored_from": self._restored.source, "restored_at": utc_now()}
        if not self._greeted:
            self._restored.phases.add(SYNC, mono_s() - self._logged_in_mono_s)
        await self._notes.move(SessionState.CONNECTED, failures=0, retry_at=None, **facts)
        await self._notes.touch()
        await self._on_login()
        if self._notes.record.unsaved is not None:
            await self._notes.write(unsaved=None)
        self.connected.set()
        if self._untidy_since_mono_s is None:
            self._untidy_since_mono_s = mono_s()
        if self._greeted:
            return
        self._greeted = True
        if self._restored.source is not None:
            await self._tell_restored()
        await self._publisher.tell(EventKind.READY, {"phone": snapshot.phone, "pushname": snapshot.pushname})

    async def _tell_restored(self) -> None:
        order = self._restored.order
        log.info("session restored", source=self._restored.source, phases_ms=self._restored.phases.ms())
        data = {
            "source": self._restored.source,
            "token": order[0] if order else None,
            "generation": order[1] if order else None,
            "took_ms": round((mono_s() - self._began_mono_s) * 1000),
        }
        await self._publisher.tell(EventKind.SESSION_RESTORED, data)
