"""The websocket protocol between page and server, in JSON frames: log-in, messages, receipts.

Owns the open connections. A message that `messages` refuses is answered by a `nack` frame; the page turns it into an
error of the client's call. Frames are listed in README.md.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from aiohttp import WSMsgType, web

from tests.standin import fields, messages
from tests.standin.connection import Connection
from tests.standin.devices import Device, Devices
from tests.standin.fields import BadField
from tests.standin.journal import Journal
from tests.standin.options import Options
from tests.standin.pairing import Pairing, signed_by

CLOSE_TIMEOUT_S = 2.0
MAX_FRAME_BYTES = 96 << 20  # base64 of the page's upload limit of 64 MiB
CONTACTS = (
    {"id": "5511888880001@c.us", "name": "Alice", "pushname": "alice"},
    {"id": "5511888880002@c.us", "name": "Bob", "pushname": "bob"},
)
# Seconds after which a contact's phone has received (2) and its owner has read (3) a message.
AUTO_RECEIPTS_S = ((2, 0.3), (3, 0.6))

Frame = dict[str, Any]


class Wire:
    """Serves `/ws/chat` and sends to pages what the control API causes."""

    def __init__(self, options: Options, devices: Devices, journal: Journal) -> None:
        self._options = options
        self._devices = devices
        self._journal = journal
        self._opened = 0
        self._tasks: set[asyncio.Task[Any]] = set()
        self.connections: set[Connection] = set()
        self.media: dict[str, bytes] = {}
        """Files of incoming messages by their hash, until they are forgotten."""
        self.pairing = Pairing(options, devices, journal, self.connections)
        self._on: dict[str, Callable[[Connection, Frame], Awaitable[None]]] = {
            "register": self._register,
            "refresh": self._refresh,
            "link-code": self._link_code,
            "pair-device-sign": self._pair_device_sign,
            "login": self._login,
            "challenge-response": self._challenge_response,
            "message": self._message,
            "reaction": self._reaction,
            "received": self._received,
            "exists": self._exists,
            "chatstate": self._chatstate,
            "seen": self._seen,
            "logout": self._logout,
        }

    async def stop(self) -> None:
        """Close every connection and forget receipts that are still to come."""
        for conn in list(self.connections):
            self.end(conn)
        closing = [conn.ws.close() for conn in self.connections]
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*closing, *self._tasks, return_exceptions=True)

    def end(self, conn: Connection) -> None:
        """End a connection. It counts as gone at once; a browser that does not answer holds nobody up."""
        conn.leave()
        self._devices.touched()
        self._spawn(conn.ws.close())

    def _spawn(self, work: Coroutine[Any, Any, Any]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def live(self, device: Device) -> list[Connection]:
        """The connections on which this device is logged in: one, or none."""
        return [conn for conn in self.connections if conn.device is device and conn.authed]

    async def serve(self, request: web.Request) -> web.WebSocketResponse:
        """Run one page's websocket until it ends."""
        ws = web.WebSocketResponse(heartbeat=25, timeout=CLOSE_TIMEOUT_S, max_msg_size=MAX_FRAME_BYTES)
        await ws.prepare(request)
        self._opened += 1
        conn = Connection(ws, self._opened)
        self.connections.add(conn)
        try:
            async for packet in ws:
                if packet.type == WSMsgType.TEXT:
                    await self._take(conn, packet.data)
        finally:
            conn.leave()
            self._devices.touched()
            self.connections.discard(conn)
        return ws

    async def _take(self, conn: Connection, raw: str) -> None:
        try:
            frame = json.loads(raw)
        except ValueError:
            return await conn.send(t="error", error="a frame must be JSON")
        if not isinstance(frame, dict):
            return await conn.send(t="error", error="a frame must be a JSON object")
        take = self._on.get(str(frame.get("t")))
        if take is None:
            return await conn.send(t="error", error=f"unknown {frame.get('t')}")
        try:
            await take(conn, frame)
        except BadField as bad:
            await conn.send(t="error", error=str(bad), rid=frame.get("rid"))

    async def _register(self, conn: Connection, frame: Frame) -> None:
        conn.noise_pub = fields.octets(frame, "noisePub", 32)
        conn.identity_pub = fields.octets(frame, "identityPub", 32)
        await self.pairing.offer(conn)

    async def _refresh(self, conn: Connection, frame: Frame) -> None:
        if conn.noise_pub is None:
            return await conn.send(t="error", error="register first")
        await self.pairing.offer(conn)

    async def _link_code(self, conn: Connection, frame: Frame) -> None:
        if conn.noise_pub is None:
            return await conn.send(t="error", error="register first", rid=frame.get("rid"))
        code = self.pairing.issue_link_code(conn, fields.phone(frame))
        await conn.send(t="link-code", code=code, rid=frame.get("rid"))

    async def _pair_device_sign(self, conn: Connection, frame: Frame) -> None:
        await self.pairing.confirm(conn, fields.octets(frame, "sig"))

    async def _login(self, conn: Connection, frame: Frame) -> None:
        device_id = fields.number(frame, "deviceId")
        device = self._devices.get(device_id)
        if device is None or device.revoked or device.jid != frame.get("jid"):
            why = device.revoked or "not its account" if device else "unknown device"
            self._journal.event("login-refused", device=device_id, why=why)
            return await conn.send(t="failure", reason="401", location="cln")
        conn.leave()
        conn.device, conn.nonce, conn.confirms = device, os.urandom(32), frame.get("confirms") is True
        await conn.send(t="challenge", nonce=fields.encode(conn.nonce))

    async def _challenge_response(self, conn: Connection, frame: Frame) -> None:
        device, nonce = conn.device, conn.nonce
        if device is None or nonce is None:
            return await conn.send(t="error", error="login first")
        conn.nonce = None  # a nonce is good for one answer
        rc = fields.number(frame, "rc")
        claim = b"login" + nonce + device.jid.encode() + str(rc).encode()
        if not signed_by(device.noise_pub, fields.octets(frame, "sig"), claim):
            device.failed_logins += 1
            self._devices.touched()
            self._journal.event("login-bad-signature", device=device.id)
            return await conn.send(t="failure", reason="403")
        if device.revoked:
            return await conn.send(t="failure", reason="401", location="cln")
        await self.replace(device)
        await self._welcome(conn, device, rc)

    async def _welcome(self, conn: Connection, device: Device, rc: int) -> None:
        stale = rc <= device.rc
        device.stale_logins += stale
        device.rc = max(device.rc, rc)
        device.logins += 1
        device.last_seen = time.time()
        conn.authed = True
        offline, device.queue = device.queue, []
        if conn.confirms:
            conn.unconfirmed = {message["id"]: message for message in offline}
        self._devices.touched()
        self._journal.event("login", device=device.id, rc=rc, stale=stale)
        await conn.send(
            t="success",
            jid=device.jid,
            lid=device.lid,
            deviceId=device.id,
            pushname=device.pushname,
            platform=device.platform,
            stale=stale,
            offline=offline,
            contacts=CONTACTS,
        )

    async def replace(self, device: Device) -> int:
        """End the device's connection as if it had been opened elsewhere; return how many there were."""
        live = self.live(device)
        for conn in live:
            await conn.send(t="stream-error", code="conflict", type="replaced")
            self.end(conn)
        return len(live)

    async def revoke(self, device: Device, reason: str) -> None:
        """Unlink a device, as its owner can do on the phone, and tell its page."""
        self._devices.revoke(device, reason)
        for conn in [conn for conn in self.connections if conn.device is device]:
            conn.authed = False
            await conn.send(t="stream-error", code="401", reason=reason)

    async def deliver(self, device: Device, message: dict[str, Any]) -> bool:
        """Give a message to a device now, or queue it for its next log-in; return whether it was online."""
        live = self.live(device)
        for conn in live:
            if conn.confirms:
                conn.unconfirmed[message["id"]] = message
            await conn.send(t="message", msg=message)
        if not live:
            device.queue.append(message)
            self._devices.touched()
        return bool(live)

    async def _message(self, conn: Connection, frame: Frame) -> None:
        message_id = fields.text(frame, "id")
        try:
            message = messages.checked(conn, frame)
        except (messages.Refused, BadField) as refusal:
            self._journal.event("message-refused", conn=conn.number, type=str(frame.get("type")), why=str(refusal))
            return await conn.send(t="nack", id=message_id, error=str(refusal))
        known = self._journal.accepted(message["device"], message_id)
        if known is None:
            self._journal.accept(message)
            body = (message["body"] or "")[:40]
            self._journal.event("message-out", id=message_id, to=message["to"], type=message["type"], body=body)
        else:
            self._journal.repeated(known)
        message = known or message
        if self._options.ack_hold_ms:
            return self._spawn(self._late_ack(conn, message, self._options.ack_hold_ms / 1000))
        await conn.send(t="ack", id=message_id, to=message["to"], ts=message["ts"])
        if self._options.auto_ack:
            self._spawn(self._receipts(conn, message))

    async def _late_ack(self, conn: Connection, message: dict[str, Any], after_s: float) -> None:
        await asyncio.sleep(after_s)
        await conn.send(t="ack", id=message["id"], to=message["to"], ts=message["ts"])

    async def _reaction(self, conn: Connection, frame: Frame) -> None:
        reaction_id = fields.text(frame, "id")
        try:
            reaction = messages.checked_reaction(conn, frame, lambda parent: self._journal.find(parent) is not None)
        except (messages.Refused, BadField) as refusal:
            self._journal.event("reaction-refused", conn=conn.number, why=str(refusal))
            return await conn.send(t="nack", id=reaction_id, error=str(refusal))
        known = self._journal.accepted(reaction["device"], reaction_id)
        if known is None:
            self._journal.accept(reaction)
        else:
            self._journal.repeated(known)
        await conn.send(t="ack", id=reaction_id, to=reaction["to"], ts=reaction["ts"])

    async def _receipts(self, conn: Connection, message: dict[str, Any]) -> None:
        waited_s = 0.0
        for level, after_s in AUTO_RECEIPTS_S:
            await asyncio.sleep(after_s - waited_s)
            waited_s = after_s
            await self.receipt(conn, message["id"], message["to"], level)

    async def receipt(self, conn: Connection, message_id: str, contact: str, level: int) -> None:
        """Tell a page that a contact received (2), read (3) or played (4) a message."""
        await conn.send(t="receipt", id=message_id, from_=contact, ack=level, ts=int(time.time()))

    async def _received(self, conn: Connection, frame: Frame) -> None:
        conn.unconfirmed.pop(fields.text(frame, "id"), None)

    async def _exists(self, conn: Connection, frame: Frame) -> None:
        exists = not fields.text(frame, "user").startswith("000")
        await conn.send(t="exists", rid=frame.get("rid"), exists=exists)

    async def _chatstate(self, conn: Connection, frame: Frame) -> None:
        if conn.authed and conn.device:
            state, to = fields.text(frame, "state"), fields.text(frame, "to")
            self._journal.event("chatstate", device=conn.device.id, to=to, state=state)

    async def _seen(self, conn: Connection, frame: Frame) -> None:
        if conn.authed and conn.device:
            self._journal.event("seen", device=conn.device.id, chat=fields.text(frame, "chat"))

    async def _logout(self, conn: Connection, frame: Frame) -> None:
        if conn.device is not None and conn.authed:
            self._devices.revoke(conn.device, "logout")
            self._journal.event("logout", device=conn.device.id)
            conn.authed = False
        await conn.send(t="logout-ok")
