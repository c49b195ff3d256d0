"""A linked device without a browser: speaks the stand-in's websocket protocol with real keys, as its page does."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import os
from typing import Any

import aiohttp
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.standin import StandIn

ANSWER_TIMEOUT_S = 10.0
Json = dict[str, Any]


def b64(raw: bytes) -> str:
    """Base64 text."""
    return base64.b64encode(raw).decode()


async def control(standin: StandIn, action: str, **body: Any) -> tuple[int, Any]:
    """Call the control API as a test would: POST with a body, GET for state, messages and log."""
    method = "GET" if action in ("state", "messages", "log") else "POST"
    async with (
        aiohttp.ClientSession() as http,
        http.request(method, f"{standin.control_url}/{action}", json=body) as response,
    ):
        return response.status, await response.json()


class FakePage:
    """One profile's keys and log-in counter, and the websocket it has open."""

    def __init__(self, standin: StandIn, http: aiohttp.ClientSession) -> None:
        self.standin = standin
        self.http = http
        self.noise = Ed25519PrivateKey.generate()
        self.identity = Ed25519PrivateKey.generate()
        self.adv_secret = os.urandom(32)
        self.login_counter = 0
        self.jid = ""
        self.device_id = 0
        self.ws: aiohttp.ClientWebSocketResponse | None = None

    async def open(self) -> None:
        """Open a websocket; one that was open before is left to the server."""
        self.ws = await self.http.ws_connect(self.standin.url + "ws/chat")

    async def tell(self, **frame: Any) -> None:
        """Send one frame."""
        assert self.ws is not None
        await self.ws.send_json(frame)

    async def hear(self, kind: str | None = None) -> Json:
        """Return the next frame, which must be of `kind` when that is given."""
        assert self.ws is not None
        frame = await self.ws.receive_json(timeout=ANSWER_TIMEOUT_S)
        assert kind in (None, frame["t"]), frame
        return frame

    async def ended(self) -> bool:
        """Whether the server closes the connection without saying anything more."""
        assert self.ws is not None
        packet = await self.ws.receive(timeout=ANSWER_TIMEOUT_S)
        return packet.type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.CLOSING)

    async def register(self) -> list[str]:
        """Open and introduce itself as nobody; return the QR references."""
        await self.open()
        keys = {"noisePub": self.noise, "identityPub": self.identity}
        await self.tell(t="register", **{name: b64(key.public_key().public_bytes_raw()) for name, key in keys.items()})
        return (await self.hear("pair-device"))["refs"]

    def qr(self, ref: str) -> str:
        """The text that the page would draw."""
        keys = [b64(key.public_key().public_bytes_raw()) for key in (self.noise, self.identity)]
        return ",".join([ref, *keys, b64(self.adv_secret), "1"])

    async def confirm(self, *, signer: Ed25519PrivateKey | None = None, secret: bytes | None = None) -> None:
        """Answer the phone's approval, after checking that it came from whoever saw the QR."""
        approval = await self.hear("pair-success")
        adv = base64.b64decode(approval["adv"])
        key = self.adv_secret if secret is None else secret
        assert approval["hmac"] == b64(hmac.new(key, adv, hashlib.sha256).digest())
        self.jid, self.device_id = approval["jid"], approval["deviceId"]
        await self.tell(t="pair-device-sign", sig=b64((signer or self.noise).sign(b"pair" + adv)))

    async def pair(self, phone: str) -> None:
        """Become a linked device by QR."""
        refs = await self.register()
        scanning = asyncio.create_task(control(self.standin, "scan", qr=self.qr(refs[0]), phone=phone))
        await self.confirm()
        assert (await self.hear("stream-error"))["code"] == "515"
        assert await scanning == (200, {"ok": True, "device": self.device_id})

    async def login(
        self, *, counter: int | None = None, signer: Ed25519PrivateKey | None = None, confirms: bool = False
    ) -> Json:
        """Open and log in; return the server's verdict. `counter` defaults to the next one of this profile."""
        await self.open()
        await self.tell(t="login", jid=self.jid, deviceId=self.device_id, confirms=confirms)
        challenge = await self.hear()
        if challenge["t"] != "challenge":
            return challenge
        if counter is None:
            counter = self.login_counter = self.login_counter + 1
        claim = b"login" + base64.b64decode(challenge["nonce"]) + f"{self.jid}{counter}".encode()
        await self.tell(t="challenge-response", rc=counter, sig=b64((signer or self.noise).sign(claim)))
        return await self.hear()
