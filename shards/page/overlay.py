"""What a live Chromium has not written to disk yet: localStorage and cookies of the WhatsApp page, taken over DevTools.

localStorage reaches the disk seconds late and cookies up to 30 s late, so a snapshot of a live profile carries them
as an overlay, and opening a restored profile puts them back before the page's own scripts run.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from daemon.core.clock import mono_s
from daemon.core.errors import ArchiveDamagedError, BrowserError
from shards.browser.connection import BrowserConnection
from shards.page.empty_document import empty_document

OVERLAY_FILE = "overlay.json"
"""Name of an overlay among the files of a live snapshot."""
MAX_BYTES = 12_000_000
"""Chromium allows 10 MB of localStorage for one origin."""
_COOKIE_FIELDS = ("name", "value", "domain", "path", "secure", "httpOnly", "sameSite", "expires", "priority")


@dataclass(frozen=True, kw_only=True)
class Overlay:
    """localStorage and cookies of one origin at one moment. They are secrets."""

    origin: str
    local_storage: Mapping[str, str] = field(repr=False)
    cookies: tuple[Mapping[str, Any], ...] = field(repr=False)

    def to_json(self) -> bytes:
        """Return the bytes that `from_json` reads; equal overlays give equal bytes."""
        content = {"origin": self.origin, "local_storage": dict(self.local_storage), "cookies": list(self.cookies)}
        return json.dumps(content, sort_keys=True, separators=(",", ":")).encode("ascii")

    @classmethod
    def from_json(cls, content: bytes) -> "Overlay":
        """Read what `to_json` wrote.

        Raises:
            ArchiveDamagedError: anything else; use an older copy.
        """
        if len(content) > MAX_BYTES * 2:
            raise ArchiveDamagedError("the overlay is too large", size_bytes=len(content))
        try:
            raw = json.loads(content)
            origin, storage, cookies = raw["origin"], raw["local_storage"], raw["cookies"]
        except (ValueError, KeyError, TypeError, RecursionError):
            raise ArchiveDamagedError("the overlay is not readable") from None
        if not _plausible(origin, storage, cookies):
            raise ArchiveDamagedError("the overlay does not hold what an overlay holds")
        return cls(origin=origin, local_storage=storage, cookies=tuple(cookies))


def _plausible(origin: object, storage: object, cookies: object) -> bool:
    return (
        isinstance(origin, str)
        and origin.startswith(("http://", "https://"))
        and isinstance(storage, dict)
        and all(isinstance(value, str) for value in storage.values())
        and isinstance(cookies, list)
        and all(isinstance(cookie, dict) and _known_cookie(cookie) for cookie in cookies)
    )


def _known_cookie(cookie: Mapping[str, Any]) -> bool:
    texts = (cookie.get("name"), cookie.get("value"), cookie.get("domain"), cookie.get("path"))
    return all(isinstance(text, str) for text in texts) and cookie.keys() <= set(_COOKIE_FIELDS)


async def capture_overlay(connection: BrowserConnection, *, origin: str, timeout_s: float) -> Overlay:
    """Read both from the live page. The page's own scripts are neither called nor stopped.

    Raises:
        PageTimeoutError: the page does not answer.
        BrowserError: the browser is gone, or the page is on another origin.
    """
    deadline_mono_s = mono_s() + timeout_s
    items = await connection.cdp(
        "DOMStorage.getDOMStorageItems",
        {"storageId": {"storageKey": f"{origin}/", "isLocalStorage": True}},
        timeout_s=timeout_s,
    )
    jar = await connection.cdp(
        "Network.getCookies", {"urls": [f"{origin}/"]}, timeout_s=max(0.1, deadline_mono_s - mono_s())
    )
    storage = {str(key): str(value) for key, value in items.get("entries", [])}
    cookies = sorted((_portable(cookie) for cookie in jar.get("cookies", [])), key=lambda c: (c["name"], c["path"]))
    return Overlay(origin=origin, local_storage=storage, cookies=tuple(cookies))


def _portable(cookie: Mapping[str, Any]) -> dict[str, Any]:
    kept = {name: cookie[name] for name in _COOKIE_FIELDS if name in cookie}
    if kept.get("expires", -1) < 0:
        kept.pop("expires", None)  # ends with the browser: given without a date it is such a cookie again
    return kept


def _settable(cookie: Mapping[str, Any], origin: str) -> dict[str, Any]:
    """Return what Network.setCookies takes: given a domain it would turn a cookie of one host into one of all below."""
    if str(cookie["domain"]).startswith("."):
        return dict(cookie)
    return {**{name: value for name, value in cookie.items() if name != "domain"}, "url": f"{origin}/"}


_REPLACE = """(items) => {
  localStorage.clear();
  for (const [key, value] of Object.entries(items)) localStorage.setItem(key, value);
  return localStorage.length;
}"""


async def apply_overlay(connection: BrowserConnection, overlay: Overlay, *, timeout_s: float) -> None:
    """Put an overlay into the browser, in an empty document of its origin, before the real page is opened.

    So the overlay is there before the page's first script, exactly once, and nothing stays behind that could write it
    again: a page that reloads after a logout must not find its old login. localStorage is replaced as a whole, because
    the files may hold keys that were gone when the overlay was taken.

    Raises:
        BrowserError: not applied, or not wholly; start again with a fresh profile.
    """
    deadline_mono_s = mono_s() + timeout_s
    if overlay.cookies:
        cookies = [_settable(cookie, overlay.origin) for cookie in overlay.cookies]
        await connection.cdp("Network.setCookies", {"cookies": cookies}, timeout_s=timeout_s)
    left_s = max(0.1, deadline_mono_s - mono_s())
    async with empty_document(connection, origin=overlay.origin, timeout_s=left_s):
        await _replace_storage(connection, overlay, deadline_mono_s)


async def _replace_storage(connection: BrowserConnection, overlay: Overlay, deadline_mono_s: float) -> None:
    result = await connection.cdp(
        "Runtime.evaluate",
        {
            "expression": f"location.origin === {json.dumps(overlay.origin)} ? "
            f"({_REPLACE})({json.dumps(dict(overlay.local_storage))}) : -1",
            "returnByValue": True,
        },
        timeout_s=max(0.1, deadline_mono_s - mono_s()),
    )
    if result.get("result", {}).get("value") != len(overlay.local_storage):
        raise BrowserError("the overlay could not be written into the page's localStorage", origin=overlay.origin)
