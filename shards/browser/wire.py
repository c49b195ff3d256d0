"""pyppeteer's DevTools connection, made safe to lose. The only user is `BrowserConnection`.

pyppeteer's `connect()` is not used as it is, because of what its Connection does on a socket that dies (2.0.0):
the first call returns None and later ones hang for ever, a call made before the socket opened spins the event loop at
full speed for ever, answering a cancelled call ends the reader, and every abandoned answer is logged as "exception
was never retrieved". This class keeps its protocol (ids, sessions, events) and replaces exactly these parts.

pyppeteer also writes each command to a page as text inside another command, and reads each answer out of another
event. wa-js alone is half a megabyte, so sessions are flat here: what is for a page bears its session's id.
"""

import asyncio
import contextlib
import json
import warnings
from collections.abc import Callable
from typing import Any

from pyppeteer.connection import CDPSession, Connection, _createProtocolError  # type: ignore[import-untyped]
from pyppeteer.errors import NetworkError  # type: ignore[import-untyped]
from websockets.exceptions import WebSocketException
from websockets.legacy.client import connect as ws_connect

SOCKET_ERRORS = (OSError, WebSocketException, EOFError)


class Wire(Connection):  # type: ignore[misc]  # pyppeteer has no types
    """One websocket to a browser. `on_lost` is called with a reason when it or its page has gone."""

    def __init__(self, url: str, on_lost: Callable[[str], None]) -> None:
        self.opened = asyncio.Event()
        self.lost = False
        self.page_closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Done once the page's DevTools session has ended, or nothing more can be heard of it."""
        self._on_lost = on_lost
        with warnings.catch_warnings():
            # pyppeteer passes loop=, which websockets deprecated; that socket is never opened.
            warnings.simplefilter("ignore", DeprecationWarning)
            super().__init__(url, asyncio.get_running_loop())
        # No pings: whether the browser answers is seen by the time limits of the calls.
        self._ws = ws_connect(url, max_size=None, ping_interval=None, ping_timeout=None, compression=None)

    def send(self, method: str, params: dict[str, Any] | None = None) -> "asyncio.Future[Any]":
        """Send one command; the future fails with NetworkError when the socket closes before the answer."""
        if self.lost:
            raise NetworkError(f"Protocol error ({method}): connection closed")
        answer: asyncio.Future[Any] = super().send(method, params)
        answer.add_done_callback(retrieve)
        return answer

    async def createSession(self, targetInfo: dict[str, Any]) -> "PageSession":
        """Attach to a target; pyppeteer's name."""
        answer = await self.send("Target.attachToTarget", {"targetId": targetInfo["targetId"], "flatten": True})
        session = PageSession(self, targetInfo["type"], answer["sessionId"], self._loop)
        self._sessions[answer["sessionId"]] = session
        return session

    def next_id(self) -> int:
        """Return a number that no command of this connection has had."""
        self._lastId += 1
        return int(self._lastId)

    def write(self, command: dict[str, Any]) -> None:
        """Send a whole command soon, in the order of these calls."""
        self._loop.create_task(self._async_send(json.dumps(command), command["id"]))

    async def read_out(self, timeout_s: float) -> None:
        """Wait until everything is read that a browser which has ended said before."""
        await asyncio.wait({self._recv_fut}, timeout=timeout_s)

    async def shut(self, timeout_s: float) -> None:
        """Close the socket and wait for the reader to end."""
        if self.opened.is_set() and not self.lost:
            with contextlib.suppress(TimeoutError, *SOCKET_ERRORS):
                async with asyncio.timeout(timeout_s):
                    await self.connection.close()
            # A stopped browser never answers the closing handshake, and leaving the reader would wait for it again.
            self.connection.transport.abort()
        self._recv_fut.cancel()
        await asyncio.wait({self._recv_fut}, timeout=timeout_s)
        self.end()

    def end(self) -> None:
        """Fail everything that waits for an answer; nothing can be sent any more."""
        if self.lost:
            return
        self.lost = True
        self._connected = False
        for session in list(self._sessions.values()):
            end_session(session)
        self._sessions.clear()
        _fail_all(self._callbacks)
        self._page_has_closed()
        self._on_lost("the DevTools connection was closed")

    async def _recv_loop(self) -> None:
        try:
            async with self._ws as connection:
                self.connection = connection
                self._connected = True
                self.opened.set()
                while True:
                    await self._on_message(await connection.recv())
        except SOCKET_ERRORS:
            pass
        finally:
            self.end()

    async def _async_send(self, msg: str, callback_id: int) -> None:
        try:
            await self.connection.send(msg)
        except SOCKET_ERRORS:
            self.end()

    async def _on_message(self, message: str | bytes) -> None:
        # pyppeteer gives way to everything else before each message. What a page tells is lost if the shard is killed
        # before it is read, so all that has arrived is read first.
        read = json.loads(message)
        if "sessionId" in read:
            session = self._sessions.get(read["sessionId"])
            if session is not None:
                session.take(read)
        elif read.get("id") in self._callbacks:
            self._on_response(read)
        else:
            self._on_query(read)

    def _on_response(self, msg: dict[str, Any]) -> None:
        answer = self._callbacks.get(msg.get("id", -1))
        if answer is not None and answer.done():
            self._callbacks.pop(msg["id"])
            return
        super()._on_response(msg)

    def _on_query(self, msg: dict[str, Any]) -> None:
        super()._on_query(msg)
        if msg.get("method") == "Target.detachedFromTarget":
            self._page_has_closed()
            self._on_lost("the page was closed")

    def _page_has_closed(self) -> None:
        if not self.page_closed.done():
            self.page_closed.set_result(None)

    async def _on_close(self) -> None:
        self.end()


class PageSession(CDPSession):  # type: ignore[misc]
    """One page's part of a connection."""

    def send(self, method: str, params: dict[str, Any] | None = None) -> "asyncio.Future[Any]":
        """Send one command; the future fails with NetworkError when the session ends before the answer."""
        if self._connection is None:
            raise NetworkError(f"Protocol error ({method}): session closed")
        number = self._connection.next_id()
        answer: asyncio.Future[Any] = self._loop.create_future()
        answer.method = method  # type: ignore[attr-defined]  # as pyppeteer does
        self._callbacks[number] = answer
        self._connection.write({"id": number, "sessionId": self._sessionId, "method": method, "params": params or {}})
        return answer

    def take(self, read: dict[str, Any]) -> None:
        """Take an answer or an event of the page."""
        if "id" not in read:
            self.emit(read.get("method"), read.get("params", {}))
            return
        answer: Any = self._callbacks.pop(read["id"], None)
        if answer is None or answer.done():
            return
        if "error" in read:
            answer.set_exception(_createProtocolError(NetworkError(), answer.method, read))
        else:
            answer.set_result(read.get("result"))

    def _on_closed(self) -> None:
        end_session(self)


def end_session(session: CDPSession) -> None:
    """Fail everything that waits for an answer of this session, and all later calls."""
    _fail_all(session._callbacks)
    session._connection = None


def retrieve(answer: "asyncio.Future[Any]") -> None:
    """Look at a future's exception, so that asyncio does not log it when nobody waits for it any more."""
    if not answer.cancelled():
        answer.exception()


def _fail_all(callbacks: dict[int, "asyncio.Future[Any]"]) -> None:
    for answer in callbacks.values():
        if not answer.done():
            answer.set_exception(NetworkError("connection closed"))
    callbacks.clear()
