"""The control API: plays the phone and the operator, over plain HTTP on loopback, JSON in and out.

POST /scan {qr, phone, pushname?}   /link {code, phone, pushname?}
POST /inbound {from, type?, body?, quoted?, phone?|device?, pushname?}, a file also with {media, mimetype, caption?,
     filename?}, a location with {lat, lng, loc?}
POST /react {id, emoji}   /edit {id, body}   /revoke_message {id}   /forget_media {id}
POST /revoke {phone?|device?, reason?}   /drop {phone?|device?}   /replace {phone?|device?}
POST /receipt {id, from, ack}   /config {setting: value}      GET /state   /messages   /log
Where phone and device are optional, leaving both out means every device. A bad request is answered 4xx with
{"ok": false, "error": text}.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from tests.standin import fields
from tests.standin.devices import Device, Devices
from tests.standin.fields import BadField
from tests.standin.journal import Journal
from tests.standin.loopback import only_hosts
from tests.standin.messages import MEDIA_TYPES, MESSAGE_TYPES, place_of
from tests.standin.options import Options
from tests.standin.pairing import PairingRefused
from tests.standin.site import Site
from tests.standin.wire import Wire

Body = dict[str, Any]
Action = Callable[[Body], Awaitable[Body]]
CONTACT = r"\d{5,20}(@(c\.us|s\.whatsapp\.net))?"
DEFAULT_PUSHNAME = "Stand-in User"


class Control:
    """The aiohttp application of the control port."""

    def __init__(self, options: Options, devices: Devices, journal: Journal, wire: Wire, site: Site) -> None:
        self._options = options
        self._devices = devices
        self._journal = journal
        self._wire = wire
        self._site = site
        self.app = web.Application(middlewares=[only_hosts()], client_max_size=96 << 20)
        self.app.router.add_get("/state", self._state)
        self.app.router.add_get("/messages", self._messages)
        self.app.router.add_get("/log", self._log)
        phone = (self.scan, self.link, self.revoke, self.drop, self.replace, self.config)
        contact = (self.inbound, self.receipt, self.react, self.edit, self.revoke_message, self.forget_media)
        actions = (*phone, *contact)
        for action in actions:
            self.app.router.add_post("/" + action.__name__, answer(action))

    async def _state(self, request: web.Request) -> web.Response:
        unpaired = [
            {"conn": conn.number, "refs": conn.offer.refs, "link": conn.link}
            for conn in self._wire.connections
            if conn.offer is not None and not conn.authed
        ]
        devices = [
            {**device.to_json(), "queue": len(device.queue), "online": bool(self._wire.live(device))}
            for device in self._devices
        ]
        return web.json_response(
            {
                "requests": self._site.requests,
                "bulk_requests": self._site.bulk_requests,
                "unpaired": unpaired,
                "devices": devices,
            }
        )

    async def _messages(self, request: web.Request) -> web.Response:
        return web.json_response(list(self._journal.messages))

    async def _log(self, request: web.Request) -> web.Response:
        return web.json_response(list(self._journal.events))

    async def scan(self, body: Body) -> Body:
        """The phone's camera; `qr` is the whole text of the code that the user sees."""
        qr, phone = fields.text(body, "qr"), fields.phone(body)
        device = await self._wire.pairing.scan(qr, phone, fields.text(body, "pushname", DEFAULT_PUSHNAME))
        return {"device": device.id}

    async def link(self, body: Body) -> Body:
        """The user types a pairing code into the phone."""
        code, phone = fields.text(body, "code"), fields.phone(body)
        device = await self._wire.pairing.link(code, phone, fields.text(body, "pushname", DEFAULT_PUSHNAME))
        return {"device": device.id}

    async def revoke(self, body: Body) -> Body:
        """The user removes linked devices on the phone."""
        reason = fields.text(body, "reason", "device_removed")
        targets = self._targets(body)
        for device in targets:
            await self._wire.revoke(device, reason)
        self._journal.event("revoked", n=len(targets))
        return {"revoked": len(targets)}

    async def inbound(self, body: Body) -> Body:
        """A contact writes; a device that is offline gets the message at its next log-in."""
        contact = fields.text(body, "from", pattern=CONTACT, rule="must be a contact such as 5511888880001@c.us")
        content = {
            "from": contact.split("@")[0] + "@c.us",
            "pushname": fields.text(body, "pushname", "Contact"),
            **self._content(body),
        }
        targets = [device for device in self._targets(body) if not device.revoked]
        return {"delivered": [await self._deliver(device, content) for device in targets]}

    def _content(self, body: Body) -> Body:
        kind = fields.text(body, "type", "chat")
        if kind not in MESSAGE_TYPES:
            raise BadField("type", f"must be one of {', '.join(MESSAGE_TYPES)}: others are not modelled")
        content: Body = {"type": kind, "body": fields.text(body, "body", "")}
        if kind in MEDIA_TYPES:
            media = fields.octets(body, "media")
            content["filehash"] = fields.encode(hashlib.sha256(media).digest())
            content["size"] = len(media)
            content |= {name: fields.text(body, name, None) for name in ("caption", "filename", "mimetype")}
            self._wire.media[content["filehash"]] = media
        if kind == "location":
            content |= place_of(body)
        if body.get("quoted") is not None:
            quoted = self._known(fields.text(body, "quoted"))
            content["quoted"] = {"id": quoted["id"], "from": quoted.get("from_") or quoted["from"]}
        return content

    async def forget_media(self, body: Body) -> Body:
        """The file of an incoming message is not kept any more."""
        message = self._known(fields.text(body, "id"))
        return {"forgotten": self._wire.media.pop(message.get("filehash") or "", None) is not None}

    async def react(self, body: Body) -> Body:
        """A contact reacts to a message of either side; an empty `emoji` takes it back."""
        return await self._change("reaction", body, {"body": fields.text(body, "emoji")})

    async def edit(self, body: Body) -> Body:
        """A contact changes the text of a message that it sent."""
        return await self._change("edit", body, {"body": fields.text(body, "body")})

    async def revoke_message(self, body: Body) -> Body:
        """A contact takes a message back that it sent."""
        return await self._change("revoke", body, {})

    async def _change(self, kind: str, body: Body, content: Body) -> Body:
        message = self._known(fields.text(body, "id"))
        from_me = message["dir"] == "out"
        if from_me and kind != "reaction":
            raise BadField("id", "must be a message that a contact sent")
        device = self._devices.get(message["device"])
        if device is None or device.revoked:
            raise BadField("id", "is a message of a device that is not linked any more")
        change = {
            "type": kind,
            "from": message["to"] if from_me else message["from"],
            "ref": {"id": message["id"], "fromMe": from_me},
            **content,
        }
        return {"delivered": [await self._deliver(device, change)]}

    def _known(self, message_id: str) -> Body:
        message = self._journal.find(message_id)
        if message is None:
            raise BadField("id", "is of no message")
        return message

    async def _deliver(self, device: Device, content: Body) -> Body:
        message_id = "3A" + os.urandom(9).hex().upper()
        message = {"id": message_id, "to": device.jid, "ts": int(time.time()), **content}
        self._journal.deliver({**message, "dir": "in", "device": device.id})
        live = await self._wire.deliver(device, message)
        self._journal.event("message-in", id=message_id, device=device.id, live=live)
        return {"device": device.id, "id": message_id, "live": live}

    async def receipt(self, body: Body) -> Body:
        """A contact's receipt, sent to every page that is logged in."""
        message_id, contact = fields.text(body, "id"), fields.text(body, "from", pattern=CONTACT)
        level = fields.number(body, "ack")
        if level not in (2, 3, 4):
            raise BadField("ack", "must be 2 (received), 3 (read) or 4 (played)")
        for conn in [conn for conn in self._wire.connections if conn.authed]:
            await self._wire.receipt(conn, message_id, contact.split("@")[0] + "@c.us", level)
        return {}

    async def drop(self, body: Body) -> Body:
        """Cut network connections; pages come back by themselves."""
        targets = None if body.get("phone") is None and body.get("device") is None else self._targets(body)
        dropped = [conn for conn in self._wire.connections if targets is None or conn.device in targets]
        for conn in dropped:
            self._wire.end(conn)
        return {"dropped": len(dropped)}

    async def replace(self, body: Body) -> Body:
        """Open the account elsewhere: logged-in pages get a conflict."""
        return {"replaced": sum([await self._wire.replace(device) for device in self._targets(body)])}

    async def config(self, body: Body) -> Body:
        """Change settings; pages take them over when they are loaded next."""
        self._options.change(body)
        return {}

    def _targets(self, body: Body) -> list[Device]:
        device_id = None if body.get("device") is None else fields.number(body, "device")
        phone = None if body.get("phone") is None else fields.phone(body)
        return self._devices.matching(device_id=device_id, phone=phone)


def answer(action: Action) -> Callable[[web.Request], Awaitable[web.Response]]:
    """Turn an action into a route: JSON object in, JSON out, and a 4xx with its reason for anything else."""

    async def respond(request: web.Request) -> web.Response:
        try:
            raw = await request.text()
            body = json.loads(raw) if raw.strip() else {}
            if not isinstance(body, dict):
                raise BadField("the body", "must be a JSON object")
            return web.json_response({"ok": True, **await action(body)})
        except PairingRefused as refused:
            return failure(refused.status, str(refused))
        except BadField as bad:
            return failure(400, str(bad))
        except (ValueError, LookupError, RecursionError):  # not JSON, or not text in the charset it claims
            return failure(400, "the body must be a JSON object")

    return respond


def failure(status: int, error: str) -> web.Response:
    """A refusal in the form that every control answer has."""
    return web.json_response({"ok": False, "error": error}, status=status)
