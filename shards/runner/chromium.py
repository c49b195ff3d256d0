"""The engine of the product: Chromium with the pinned wa-js in it."""

from pathlib import Path

import structlog

from daemon.core.errors import SettingsError
from shards.browser.version import binary_version
from shards.page.bundle import Bundle, load_bundle
from shards.runner.browsing import Browsing
from shards.runner.engine import EngineParts

log = structlog.get_logger()


class ChromiumEngine:
    """Starts Chromium for sessions."""

    def __init__(self, parts: EngineParts, bundle: Bundle, version: str) -> None:
        self._parts = parts
        self._bundle = bundle
        self.version = version

    def browser(self, session_id: str, profile_dir: Path) -> Browsing:
        """Return the browser of a session; nothing is started yet."""
        return Browsing(self._parts, self._bundle, session_id, profile_dir)


async def chromium_engine(parts: EngineParts) -> ChromiumEngine:
    """Check that Chromium and wa-js are there, and return the engine.

    Raises:
        SettingsError: there is no Chromium at CHROMIUM_PATH.
        BrowserError: the Chromium there does not tell its version.
        FatalError: the wa-js bundle is missing or not the pinned one.
    """
    browser = parts.settings.browser
    if not browser.chromium_path.exists():
        raise SettingsError(
            f"CHROMIUM_PATH={str(browser.chromium_path)!r} is not allowed: there is no such file",
            hint="bin/setup installs chromium-headless-shell; or set CHROMIUM_PATH",
        )
    if not browser.sandbox_on:
        log.warning("Chromium runs without its sandbox", hint="run as an unprivileged user, or see CHROMIUM_SANDBOX")
    return ChromiumEngine(parts, load_bundle(browser.bundle_path), await binary_version(browser.chromium_path))
