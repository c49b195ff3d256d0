"""How a page becomes a linked device: QR references, pairing codes, the phone's approval, the page's signature.

The phone's side (`scan`, `link`) is called by the control API, the page's side by the websocket.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import os
import random
import time
from collections.abc import Iterable

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from tests.standin.connection import Connection, Offer, Pending
from tests.standin.devices import Device, Devices
from tests.standin.fields import decode, encode
from tests.standin.journal import Journal
from tests.standin.options import Options

CONFIRM_TIMEOUT_S = 5.0
LINK_CODE_ALPHABET = "123456789ABCDEFGHJKLMNPQRSTVWXYZ"


class PairingRefused(Exception):
    """The phone's request leads nowhere; `status` is the HTTP status the control API answers with."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


def signed_by(public_key: bytes, signature: bytes, content: bytes) -> bool:
    """Whether `signature` is the Ed25519 signature of `content` by that key."""
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, content)
    except (InvalidSignature, ValueError):
        return False
    return True


class Pairing:
    """Owns every pairing in progress; finished ones go to `Devices`."""

    def __init__(self, options: Options, devices: Devices, journal: Journal, connections: Iterable[Connection]) -> None:
        self._options = options
        self._devices = devices
        self._journal = journal
        self._connections = connections

    async def offer(self, conn: Connection) -> None:
        """Give a page that is nobody yet its QR references."""
        refs = ["2@" + encode(os.urandom(72)) + "=" for _ in range(self._options.refs)]
        conn.offer = Offer(refs, self._options.ref_ttl_ms / 1000)
        self._journal.event("register", conn=conn.number)
        await conn.send(t="pair-device", refs=refs)

    def issue_link_code(self, conn: Connection, phone: str) -> str:
        """Make the 8 characters which the user types into the phone instead of scanning."""
        code = "".join(random.choices(LINK_CODE_ALPHABET, k=8))
        conn.link = {"code": code, "phone": phone}
        self._journal.event("link-code", code=code, phone=phone)
        return code

    async def scan(self, qr: str, phone: str, pushname: str) -> Device:
        """Play the phone's camera. It needs the whole QR text, so a test must get that from the client under test.

        Raises:
            PairingRefused: the code is unreadable, unknown, expired, not this page's, or the page did not confirm.
        """
        fields = qr.split(",")
        if len(fields) < 4:
            raise PairingRefused(400, "bad qr")
        ref, noise_pub, identity_pub = fields[:3]
        adv_secret = decode(fields[3], "the qr's ADV secret")
        for conn in list(self._connections):
            if conn.offer is not None and conn.offer.shows(ref):
                if encode(conn.noise_pub or b"") != noise_pub or encode(conn.identity_pub or b"") != identity_pub:
                    raise PairingRefused(409, "keys mismatch")
                return await self._pair(conn, phone, adv_secret, pushname)
        raise PairingRefused(404, "unknown or expired ref")

    async def link(self, code: str, phone: str, pushname: str) -> Device:
        """Play the user who types a pairing code into the phone.

        Raises:
            PairingRefused: nobody was given this code for this number, or the page did not confirm.
        """
        wanted = {"code": code.replace("-", ""), "phone": phone}
        for conn in list(self._connections):
            if conn.link == wanted:
                return await self._pair(conn, phone, None, pushname)
        raise PairingRefused(404, "unknown code")

    async def _pair(self, conn: Connection, phone: str, adv_secret: bytes | None, pushname: str) -> Device:
        if conn.pending is not None:
            raise PairingRefused(409, "this page is being paired already")
        assert conn.noise_pub is not None and conn.identity_pub is not None
        device = self._devices.draft(
            phone=phone, noise_pub=conn.noise_pub, identity_pub=conn.identity_pub, pushname=pushname
        )
        adv = json.dumps(
            {"jid": device.jid, "device": device.id, "identity": encode(conn.identity_pub), "ts": int(time.time())}
        ).encode()
        conn.pending = Pending(device, adv, asyncio.get_running_loop().create_future())
        try:
            await conn.send(
                t="pair-success",
                jid=device.jid,
                lid=device.lid,
                deviceId=device.id,
                pushname=pushname,
                platform=device.platform,
                adv=encode(adv),
                hmac=encode(hmac.new(adv_secret or b"", adv, hashlib.sha256).digest()),
                viaCode=adv_secret is None,
            )
            async with asyncio.timeout(CONFIRM_TIMEOUT_S):
                if not await conn.pending.confirmed:
                    raise PairingRefused(409, "the page's signature is wrong")
        except TimeoutError:
            raise PairingRefused(504, "the page did not confirm the pairing") from None
        finally:
            conn.pending = None
        return device

    async def confirm(self, conn: Connection, signature: bytes) -> None:
        """Take the page's signature over the phone's approval; a right one links the device."""
        pending = conn.pending
        if pending is None or not signed_by(pending.device.noise_pub, signature, b"pair" + pending.adv):
            self._journal.event("pair-rejected", conn=conn.number)
            if pending is not None and not pending.confirmed.done():
                pending.confirmed.set_result(False)
            await conn.send(t="failure", reason="pair-sign")
            return
        self._devices.admit(pending.device)
        self._journal.event("paired", device=pending.device.id, jid=pending.device.jid)
        conn.offer = conn.link = None
        if not pending.confirmed.done():
            pending.confirmed.set_result(True)
        # A real page is told to restart its stream after pairing, and then logs in.
        await conn.send(t="stream-error", code="515")
        await conn.ws.close()
