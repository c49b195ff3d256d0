"""The session's Chromium from start to exit. Owns the process and the open page; knows nothing of leases or Redis."""

import shutil
from collections.abc import Mapping
from pathlib import Path

import structlog

from daemon.core.errors import BlazzError, BrowserError, SnapshotError
from shards.browser.process import BrowserProcess
from shards.page.bundle import Bundle
from shards.page.events import Take
from shards.page.overlay import OVERLAY_FILE
from shards.restore.phases import LAUNCH
from shards.restore.restored import Restored
from shards.runner.engine import EngineParts
from shards.runner.opened import Opened, browser_spec, open_page

log = structlog.get_logger()


class Browsing:
    """At most one Chromium of one session."""

    def __init__(self, parts: EngineParts, bundle: Bundle, session_id: str, profile_dir: Path) -> None:
        self._parts = parts
        self._bundle = bundle
        self._session_id = session_id
        self._profile_dir = profile_dir
        self._process: BrowserProcess | None = None
        self._opened: Opened | None = None
        self._tmp_dir: Path | None = None

    @property
    def is_open(self) -> bool:
        """Whether a page is open."""
        return self._opened is not None

    async def open(self, restored: Restored, take: Take) -> Opened:
        """Start Chromium on the profile and load the page; `take` gets all that the page tells, to its very end.

        Raises:
            BrowserError, PageTimeoutError: it did not come up; nothing is left running.
        """
        settings = self._parts.settings.browser
        self._tmp_dir = self._parts.layout.new_browser_tmp()
        spec = browser_spec(settings, self._profile_dir, self._parts.notes_dir, self._tmp_dir, self._session_id)
        with restored.phases.of(LAUNCH):
            self._process = await BrowserProcess.start(spec, timeout_s=settings.start_timeout_ms / 1000)
        self._opened = await open_page(
            self._process, settings, self._bundle, restored.overlay, take, phases=restored.phases
        )
        return self._opened

    async def cut_off(self) -> None:
        """Cut the page off from WhatsApp, as far as that can be done: it takes and confirms nothing more."""
        if self._opened is None:
            return
        try:
            await self._opened.page.cut_off()
        except BlazzError as error:
            log.warning("the page is not cut off from WhatsApp before its end", code=error.code, error=str(error))

    async def overlay(self) -> Mapping[str, bytes]:
        """Return the additional files of a live snapshot.

        Raises:
            SnapshotError: the page is not logged in now, so a copy of it would be worth nothing.
            BrowserError, PageTimeoutError: the page does not answer.
        """
        if self._opened is None:
            raise SnapshotError("no page is open")
        if (await self._opened.page.snapshot()).phone is None:
            raise SnapshotError("the page is not logged in now")
        return {OVERLAY_FILE: (await self._opened.page.capture_overlay()).to_json()}

    async def last_overlay(self) -> Mapping[str, bytes] | None:
        """Return the same before the end, empty when the page does not answer; None when it is not logged in."""
        try:
            return await self.overlay()
        except SnapshotError:
            return None
        except BlazzError as error:
            log.warning("localStorage and cookies not read before the end", code=error.code, error=str(error))
            return {}

    async def close(self) -> bool:
        """End Chromium and wait for its exit; True if it ended by itself, so that its files are complete."""
        opened, self._opened = self._opened, None
        if opened is None:
            return False
        try:
            clean = await opened.close()
        except BrowserError as error:
            log.error("Chromium does not end", error=str(error), hint=error.hint)
            raise
        if not clean:
            log.warning("Chromium did not end by itself", exit_status=opened.process.exited.result())
        self._clear_tmp()
        return clean

    async def discard(self) -> None:
        """Kill Chromium, if there is one, and wait for its exit."""
        opened, self._opened = self._opened, None
        if opened is not None:
            await opened.discard()
        self._clear_tmp()

    def _clear_tmp(self) -> None:
        tmp_dir, self._tmp_dir = self._tmp_dir, None
        if tmp_dir is not None:
            self._parts.executor.submit(shutil.rmtree, tmp_dir, ignore_errors=True)

    def kill(self) -> None:
        """Kill Chromium at once, whatever state it is in."""
        if self._process is not None:
            self._process.kill()
