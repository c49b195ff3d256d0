"""The driver of one WhatsApp Web page: opens it with wa-js in it, tells its state, sends and receives.

It decides nothing: which profile, when to back up and what to do after a logout is the session runner's.
"""

import asyncio
import base64
import contextlib
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

import structlog

from daemon.core.clock import mono_s
from daemon.core.errors import BrowserError, InvalidInputError, PageCallError, PageTimeoutError
from daemon.sessions.outgoing import Media, Outgoing, outgoing_to_arguments
from shards.browser.connection import BrowserConnection
from shards.page.bundle import Bundle
from shards.page.calls import MediaFile, SentMessage, call_bridge, call_send, evaluate
from shards.page.empty_document import empty_document
from shards.page.events import PageEventKind, Take, read_event
from shards.page.overlay import Overlay, apply_overlay, capture_overlay
from shards.page.script import BINDING, call_expression, document_script, page_origin, receipt_expression
from shards.page.sockets import close_sockets
from shards.page.state import BOOTING, PageSnapshot, PageState, read_snapshot

log = structlog.get_logger()

MAX_FILE_BYTES = 64 * 1024 * 1024
_PART_BYTES = 1_500_000
_LOGOUT_POLL_S = 0.2
_PAGE_MARGIN_S = 2.0
_RELOADS = 3
_OFFLINE = {"offline": True, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
_RECIPIENT = re.compile(r"\d{5,20}|[0-9A-Za-z._-]{1,64}@(c\.us|g\.us|lid|s\.whatsapp\.net|newsletter)", re.ASCII)
_MESSAGE_ID = re.compile(r"[0-9A-Za-z_.@:-]{8,200}", re.ASCII)


@dataclass(frozen=True, kw_only=True)
class PageTimeouts:
    """Limits in seconds."""

    load_s: float = 60.0
    """From the first command to the page's load event."""
    modules_s: float = 8.0
    """How long wa-js waits for WhatsApp's modules."""
    call_s: float = 30.0
    """One call into the page."""
    send_s: float = 30.0
    """From a send to WhatsApp's ack."""
    file_s: float = 120.0
    """The same for a file, which is uploaded first."""


class WhatsAppPage:
    """One open WhatsApp page. It tells what happens in it; take snapshots to learn its state."""

    def __init__(self, connection: BrowserConnection, *, url: str, take: Take, timeouts: PageTimeouts) -> None:
        self._connection = connection
        self._url = url
        self._take = take
        self._timeouts = timeouts
        self._logout_told = False
        self.origin = page_origin(url)
        self.reloads = 0
        """How often the page was loaded again, as WhatsApp's modules had come too late for wa-js."""

    @classmethod
    async def open(
        cls,
        connection: BrowserConnection,
        *,
        url: str,
        bundle: Bundle,
        take: Take,
        overlay: Overlay | None = None,
        timeouts: PageTimeouts | None = None,
        on_injected: Callable[[], None] = lambda: None,
    ) -> Self:
        """Put wa-js and the bridge into the page, apply the overlay, load `url` and return at its load event.

        `take` gets each event of the page from its first script on, also before this returns, until Chromium is gone.
        `on_injected` is called when everything is in place and the page is loaded next.

        Raises:
            PageTimeoutError: not loaded in time.
            BrowserError: it cannot be loaded, or the browser is gone.
        """
        page = cls(connection, url=url, take=take, timeouts=timeouts or PageTimeouts())
        deadline_mono_s = mono_s() + page._timeouts.load_s

        async def cdp(method: str, params: dict[str, Any] | None = None) -> dict[str, Any]:
            return await connection.cdp(method, params, timeout_s=max(0.1, deadline_mono_s - mono_s()))

        await cdp("Page.enable")
        connection.on("Page.javascriptDialogOpening", page._on_dialog)
        await page._prepare_origin(overlay, timeout_s=max(0.1, deadline_mono_s - mono_s()))
        connection.on("Runtime.bindingCalled", page._on_binding)
        await cdp("Runtime.enable")
        await cdp("Runtime.addBinding", {"name": BINDING})
        await cdp("Page.addScriptToEvaluateOnNewDocument", {"source": page._script(bundle)})
        on_injected()
        await page._load(deadline_mono_s)
        return page

    async def snapshot(self) -> PageSnapshot:
        """Return the state now; `booting` while the page navigates.

        Raises:
            PageTimeoutError: the page hangs.
            BrowserError: the browser or the page is gone, or wa-js does not find WhatsApp's modules.
        """
        try:
            answer = await evaluate(self._connection, call_expression("snapshot"), timeout_s=self._timeouts.call_s)
        except PageCallError:
            return BOOTING
        taken = read_snapshot(answer.get("value") if isinstance(answer, dict) else None)
        if taken.state is PageState.CONNECTED:
            self._logout_told = False
        if taken.modules_missed:
            await self._load_again()
        return taken

    async def pairing_code(self, phone: str) -> str:
        """Return a code of 8 characters that the owner of `phone` (digits) types on the phone.

        It is renewed by the page for some minutes: the current one is in the snapshot.

        Raises:
            PageCallError: already logged in, or WhatsApp refuses.
        """
        return str(await self._call("pairingCode", _digits(phone)))

    async def refresh_qr(self) -> None:
        """Ask for new QR codes, for instance after the last of a series was not scanned."""
        await self._call("refreshQr")

    async def send(self, message: Outgoing, *, body: bytes | None = None) -> SentMessage:
        """Send a message and wait for WhatsApp's ack; `body` are the bytes of a file. Links get no preview.

        A message whose id the page has sent before is not sent again. One person has one reaction to a message, so a
        reaction that is sent twice is one, too.

        Raises:
            PageCallError: see `call_send` for what is known about the outcome; `ids["reason"]` may be
                `not_on_whatsapp`, `message_not_found` (the one to quote or react to), or a code of wa-js.
        """
        _check_target(message.to, message.message_id)
        if not isinstance(message.content, Media):
            return await self._send(message, "", self._timeouts.send_s)
        upload = secrets.token_hex(8)
        try:
            await self._put_file(upload, body or b"")
            return await self._send(message, upload, self._timeouts.file_s)
        except BaseException:
            # Only what the send took is gone from the page. Nobody waits for it: a page that hangs does it later.
            self._connection.cdp_nowait("Runtime.evaluate", {"expression": call_expression("dropParts", upload)})
            raise

    async def _send(self, message: Outgoing, upload: str, limit_s: float) -> SentMessage:
        # The page's own limit comes first, because it knows whether the message was handed over.
        return await call_send(
            self._connection,
            "send",
            outgoing_to_arguments(message),
            upload,
            int(limit_s * 1000),
            timeout_s=limit_s + _PAGE_MARGIN_S,
        )

    async def _put_file(self, upload: str, content: bytes) -> None:
        """Bring a file into the page in parts; it lies there under the name `upload` until it is sent or dropped."""
        if not 0 < len(content) <= MAX_FILE_BYTES:
            raise InvalidInputError(f"a file has 1 to {MAX_FILE_BYTES} bytes")
        try:
            for start in range(0, len(content), _PART_BYTES):
                part = base64.b64encode(content[start : start + _PART_BYTES]).decode("ascii")
                await self._call("addPart", upload, part)
        except BrowserError as error:
            raise PageCallError(f"send: {error.message}", outcome="not_sent") from error

    async def find_number(self, phone: str) -> str | None:
        """Return the chat id of a phone number (digits), or None when WhatsApp has no account for it.

        Raises:
            PageCallError: WhatsApp cannot be asked now.
        """
        found = await self._call("findNumber", _digits(phone))
        return str(found) if found else None

    async def download_media(self, message_id: str, *, limit_bytes: int) -> MediaFile:
        """Return the file of a message that this page knows.

        Raises:
            PageCallError: `ids["reason"]` is `message_not_found`, `no_media`, `media_gone` (WhatsApp does not keep it
                any more) or `media_too_large`.
        """
        if not _MESSAGE_ID.fullmatch(message_id):
            raise InvalidInputError("a message id has 8 to 200 letters, digits or _.@:-")
        download = secrets.token_hex(8)
        limit_s = self._timeouts.file_s
        about = await call_bridge(
            self._connection, "fetchMedia", download, message_id, limit_bytes, timeout_s=limit_s + _PAGE_MARGIN_S
        )
        try:
            parts = [
                base64.b64decode(await self._call("mediaPart", download, index)) for index in range(about["parts"])
            ]
        finally:
            with contextlib.suppress(BrowserError):
                await self._call("dropMedia", download)
        return MediaFile(content=b"".join(parts), mimetype=about["mimetype"], filename=about["filename"])

    def collect_garbage(self) -> None:
        """Have the page give back the memory that its start and its sync left unused; at rest V8 would keep it."""
        self._connection.cdp_nowait("HeapProfiler.collectGarbage")

    async def logout(self) -> None:
        """Log this device out of WhatsApp and return when the page shows it.

        Raises:
            PageTimeoutError: the page did not get there in time; the login may live on.
        """
        await self._call("logout")
        deadline_mono_s = mono_s() + self._timeouts.call_s
        while (await self.snapshot()).state not in {PageState.LOGGED_OUT, PageState.QR}:
            if mono_s() > deadline_mono_s:
                raise PageTimeoutError("WhatsApp did not log out in time")
            await asyncio.sleep(_LOGOUT_POLL_S)

    async def capture_overlay(self) -> Overlay:
        """Return what the live browser holds and may not have written yet. Raises as `snapshot` does."""
        return await capture_overlay(self._connection, origin=self.origin, timeout_s=self._timeouts.call_s)

    async def cut_off(self) -> None:
        """End the page's connection to WhatsApp for good, so that it confirms nothing more. Raises as `cdp` does.

        What it has in hand it goes on to store and to tell. WhatsApp sees a device that has lost its network.
        """
        limit_s = self._timeouts.call_s
        await self._connection.cdp("Network.enable", timeout_s=limit_s)
        # Chromium refuses new connections while it is offline, but leaves an open websocket alone.
        await self._connection.cdp("Network.emulateNetworkConditions", _OFFLINE, timeout_s=limit_s)
        await close_sockets(self._connection, timeout_s=limit_s)

    async def _prepare_origin(self, overlay: Overlay | None, *, timeout_s: float) -> None:
        if overlay is None:
            async with empty_document(self._connection, origin=self.origin, timeout_s=timeout_s):
                pass
        elif overlay.origin != self.origin:
            raise BrowserError(f"the overlay is of {overlay.origin}, the page of {self.origin}")
        else:
            await apply_overlay(self._connection, overlay, timeout_s=timeout_s)

    async def _load(self, deadline_mono_s: float) -> None:
        loaded = asyncio.Event()

        def on_load(event: dict[str, Any]) -> None:
            loaded.set()

        self._connection.on("Page.loadEventFired", on_load)
        try:
            limit_s = max(0.1, deadline_mono_s - mono_s())
            answer = await self._connection.cdp("Page.navigate", {"url": self._url}, timeout_s=limit_s)
            if answer.get("errorText"):
                raise BrowserError(
                    f"the page cannot be loaded: {answer['errorText']}",
                    hint="check the network and WHATSAPP_WEB_URL",
                    url=self._url,
                )
            limit_s = max(0.1, deadline_mono_s - mono_s())
            await self._connection.call(loaded.wait(), timeout_s=limit_s, what="load the page")
        finally:
            self._connection.off("Page.loadEventFired", on_load)

    async def _load_again(self) -> None:
        if self.reloads >= _RELOADS:
            raise BrowserError(
                f"wa-js did not find WhatsApp's modules, and not after {_RELOADS} reloads either",
                hint="the page loads too slowly, or this version of WhatsApp Web needs a newer wa-js",
            )
        self.reloads += 1
        log.warning("WhatsApp's modules came too late for wa-js; the page is loaded again", reloads=self.reloads)
        await self._connection.cdp("Page.reload", timeout_s=self._timeouts.call_s)

    def _script(self, bundle: Bundle) -> str:
        return document_script(bundle, self.origin, self._timeouts.modules_s)

    async def _call(self, action: str, *args: object) -> Any:
        return await call_bridge(self._connection, action, *args, timeout_s=self._timeouts.call_s)

    def _on_binding(self, event: dict[str, Any]) -> None:
        told = read_event(event.get("payload")) if event.get("name") == BINDING else None
        if told is None:
            return
        if told.kind is PageEventKind.RECEIPT:
            self._connection.cdp_nowait("Runtime.evaluate", {"expression": receipt_expression(told.data["number"])})
            return
        if told.kind is PageEventKind.LOGGED_OUT:
            # The page tells it before its reload and again after it.
            if self._logout_told:
                return
            self._logout_told = True
        self._take(told)

    def _on_dialog(self, event: dict[str, Any]) -> None:
        # An open dialog stops the page until somebody answers it.
        self._connection.cdp_nowait("Page.handleJavaScriptDialog", {"accept": True})


def _digits(phone: str) -> str:
    if not re.fullmatch(r"\d{5,20}", phone, re.ASCII):
        raise InvalidInputError("a phone number is its digits with the country code")
    return phone


def _check_target(to: str, message_id: str) -> None:
    if not _RECIPIENT.fullmatch(to):
        raise InvalidInputError("a recipient is the digits of a phone number, or a chat id")
    if not _MESSAGE_ID.fullmatch(message_id):
        raise InvalidInputError("a message id has 8 to 200 letters, digits or _.@:-")
