"""What an open page tells, passed on in the moment in which it is told.

Nothing waits in between: what the page confirms to WhatsApp never comes again, and so is on disk before anything else.
It hears until Chromium is gone, also while the session is being stopped.
"""

import asyncio

import structlog

from daemon.core.clock import mono_s
from shards.page.events import PageEvent, PageEventKind
from shards.page.told import told_of
from shards.publisher import Publisher

log = structlog.get_logger()

_QUIET_S = 0.2
_QUIET_MOST_S = 2.0
_POLL_S = 0.05


class Hearing:
    """The ear at one page."""

    def __init__(self, publisher: Publisher) -> None:
        self._publisher = publisher
        self._heard_mono_s = 0.0
        self.look_again = asyncio.Event()
        """Set when the page's state may have changed."""
        self.stirred = asyncio.Event()
        """Set at whatever the page tells: its profile may be about to change."""
        self.logged_out = asyncio.Event()
        """Set once WhatsApp has ended the login."""
        self.active = False
        """Whether a message came since this was last set to false."""

    def take(self, event: PageEvent) -> None:
        """Take one event of the page."""
        self._heard_mono_s = mono_s()
        self.stirred.set()
        match event.kind:
            case PageEventKind.LOGGED_OUT:
                self.logged_out.set()
            case PageEventKind.STATE_HINT:
                self.look_again.set()
            case PageEventKind.PAGE_ERROR:
                log.warning("page error", where=event.data.get("where"), error=event.data.get("error"))
            case _:
                self._tell(event)

    def _tell(self, event: PageEvent) -> None:
        told = told_of(event)
        if told is not None:
            self.active |= event.kind is PageEventKind.MESSAGE
            self._publisher.tell_at_once(told.kind, told.data, identity=told.identity)

    async def quiet(self) -> None:
        """Return once the page has told nothing for a moment, or has gone on for too long."""
        began_mono_s = mono_s()
        while mono_s() < min(max(began_mono_s, self._heard_mono_s) + _QUIET_S, began_mono_s + _QUIET_MOST_S):
            await asyncio.sleep(_POLL_S)
