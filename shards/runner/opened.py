"""Chromium with the WhatsApp page open in it: the three things that live and die together."""

import asyncio
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from daemon.core.clock import mono_s
from daemon.core.sections import BrowserSettings
from shards.browser.connection import BrowserConnection
from shards.browser.flags import BrowserSpec
from shards.browser.orphans import SUFFIX
from shards.browser.process import BrowserProcess
from shards.page.bundle import Bundle
from shards.page.driver import PageTimeouts, WhatsAppPage
from shards.page.events import Take
from shards.page.overlay import Overlay
from shards.restore.phases import INJECT, LOAD, Phases

CLOSE_GRACE_S = 15.0
_CLOSE_PAGE_S = 2.0


@dataclass(frozen=True, kw_only=True)
class Opened:
    """An open page."""

    process: BrowserProcess
    connection: BrowserConnection
    page: WhatsAppPage

    @property
    def lost(self) -> asyncio.Future[str]:
        """Done, with the reason, once Chromium is gone or cannot be reached."""
        return self.connection.lost

    @property
    def last_words(self) -> str:
        """What Chromium said last on its standard error."""
        return self.process.last_words

    async def close(self) -> bool:
        """End Chromium and wait for its exit; True if its files are complete."""
        try:
            return await self.process.close(CLOSE_GRACE_S, self.connection)
        finally:
            await self.connection.close()

    async def discard(self) -> None:
        """Kill Chromium and wait for its exit."""
        await _end(self.process, self.connection)


def browser_spec(
    settings: BrowserSettings, profile_dir: Path, notes_dir: Path, tmp_dir: Path, session_id: str
) -> BrowserSpec:
    """Return what to start for a session."""
    return BrowserSpec(
        chromium_path=settings.chromium_path,
        profile_dir=profile_dir,
        headless_shell="headless-shell" in settings.chromium_path.name,
        sandbox=settings.sandbox_on,
        extra_args=settings.extra_args,
        user_agent=settings.user_agent,
        tmp_dir=tmp_dir,
        pgid_file=notes_dir / f"{session_id}{SUFFIX}",
    )


async def open_page(
    process: BrowserProcess,
    settings: BrowserSettings,
    bundle: Bundle,
    overlay: Overlay | None,
    take: Take,
    *,
    phases: Phases,
) -> Opened:
    """Connect to a started Chromium and load the page; Chromium is killed if that fails.

    Raises:
        BrowserError, PageTimeoutError: the page could not be loaded in time.
    """
    deadline_mono_s = mono_s() + settings.start_timeout_ms / 1000
    connection = None
    try:
        with phases.of(INJECT) as follow:
            connection = await BrowserConnection.open(process, timeout_s=deadline_mono_s - mono_s())
            page = await WhatsAppPage.open(
                connection,
                url=settings.web_url,
                bundle=bundle,
                take=take,
                overlay=overlay,
                timeouts=PageTimeouts(
                    load_s=max(1.0, deadline_mono_s - mono_s()), call_s=settings.page_timeout_ms / 1000
                ),
                on_injected=partial(follow, LOAD),
            )
    except BaseException:
        await _end(process, connection)
        raise
    return Opened(process=process, connection=connection, page=page)


async def _end(process: BrowserProcess, connection: BrowserConnection | None) -> None:
    """Kill Chromium and wait for its exit; what it said before is still read."""
    process.kill()
    try:
        await process.close(_CLOSE_PAGE_S)
    finally:
        if connection is not None:
            await connection.close()
