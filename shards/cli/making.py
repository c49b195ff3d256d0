"""Filling the page's caches for a template, in a Chromium of its own on an empty profile.

What other sessions will get must come from a profile that was never logged in: it is new, lies where nobody else
writes, and the making ends as soon as the page shows an account.
"""

import asyncio
import contextlib
import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from daemon.core.clock import mono_s
from daemon.core.errors import BrowserError, FatalError, PageTimeoutError
from daemon.core.sections import BrowserSettings
from shards.browser.process import BrowserProcess
from shards.page.bundle import load_bundle
from shards.page.events import PageEvent
from shards.page.state import PageSnapshot, PageState
from shards.profile.caches import CACHE_DIRS
from shards.restore.phases import Phases
from shards.runner.opened import Opened, browser_spec, open_page

OPENINGS = 3
"""Chromium keeps compiled code of a script only from its second and third use on."""
_ATTEMPTS = 2 * OPENINGS
_POLL_S = 0.25
_LIMIT_S = 180.0
_NOT_LOGGED_IN = {PageState.BOOTING, PageState.QR}


@dataclass(frozen=True, kw_only=True)
class Filled:
    """A profile with filled caches whose Chromium has exited, and the page's own version of itself."""

    profile_dir: Path
    wa_version: str | None


async def fill_caches(
    settings: BrowserSettings, home: Path, *, step: Callable[[], None] = lambda: None, settle_s: float = 5.0
) -> Filled:
    """Open the page on a new profile in the empty directory `home` until its caches are full; `step` after each time.

    Caches count as full when they have not grown for `settle_s`.

    Raises:
        FatalError: the page showed an account.
        BrowserError, PageTimeoutError: Chromium or the page did not come up, or did not end in order.
    """
    profile_dir = home / "profile"
    clean = 0
    wa_version = None
    # Elsewhere, because the path has to be short for Chromium's socket.
    with tempfile.TemporaryDirectory(prefix="blazz-", ignore_cleanup_errors=True) as tmp:
        for _ in range(_ATTEMPTS):
            spec = browser_spec(settings, profile_dir, home, Path(tmp), "template")
            process = await BrowserProcess.start(spec, timeout_s=settings.start_timeout_ms / 1000)
            bundle = load_bundle(settings.bundle_path)
            opened = await open_page(process, settings, bundle, None, _nobody_listens, phases=Phases())
            try:
                wa_version = (await _filled(opened, profile_dir, settle_s)).wa_version
                ended = await opened.close()
            finally:
                await opened.discard()
            if ended:
                clean += 1
                step()
            if clean == OPENINGS:
                return Filled(profile_dir=profile_dir, wa_version=wa_version)
    raise BrowserError(
        f"Chromium ended in order {clean} of {_ATTEMPTS} times", hint="try again, or set CHROMIUM_PATH to full Chromium"
    )


def _nobody_listens(event: PageEvent) -> None:
    """The page of a template has nobody in it."""


async def _filled(opened: Opened, profile_dir: Path, settle_s: float) -> PageSnapshot:
    """Wait until the page asks for a login and the caches no longer grow."""
    deadline_mono_s = mono_s() + _LIMIT_S
    size, since_mono_s = -1, mono_s()
    while mono_s() < deadline_mono_s:
        shown = await opened.page.snapshot()
        if shown.state not in _NOT_LOGGED_IN or shown.phone is not None:
            raise FatalError("the page shows an account, so its caches are not for others", state=shown.state)
        now = await asyncio.to_thread(_cached_bytes, profile_dir)
        if now != size or shown.state is not PageState.QR:
            size, since_mono_s = now, mono_s()
        elif mono_s() - since_mono_s >= settle_s:
            return shown
        await asyncio.sleep(_POLL_S)
    raise PageTimeoutError(f"the page's caches do not settle in {_LIMIT_S:.0f} s", size_bytes=size)


def _cached_bytes(profile_dir: Path) -> int:
    total = 0
    for part in CACHE_DIRS:
        for folder, _, names in os.walk(profile_dir / part):
            for name in names:
                with contextlib.suppress(FileNotFoundError):  # Chromium replaces files as it goes
                    total += os.stat(os.path.join(folder, name)).st_size
    return total
