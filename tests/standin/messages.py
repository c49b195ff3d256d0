"""Which outgoing messages the server takes, and how the log keeps them. Everything it does not model is refused."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from typing import Any

from tests.standin import fields
from tests.standin.connection import Connection

MEDIA_TYPES = ("image", "video", "audio", "ptt", "document")
MESSAGE_TYPES = ("chat", *MEDIA_TYPES, "location", "vcard")
_KEPT = ("id", "to", "type", "body", "caption", "filename", "mimetype", "filehash", "quoted")


class Refused(Exception):
    """The server will not take this message; the text goes to the page."""


def checked(conn: Connection, frame: dict[str, Any]) -> dict[str, Any]:
    """Return the message in a `message` frame as the log keeps it.

    Raises:
        Refused: not logged in, not modelled, or its media never arrived.
        BadField: a field is missing or malformed.
    """
    if not conn.authed or conn.device is None:
        raise Refused("not logged in")
    kind = fields.text(frame, "type")
    if kind not in MESSAGE_TYPES:
        raise Refused(f"the stand-in does not model messages of type {kind!r}")
    to = fields.text(frame, "to")
    if not to.endswith(("@c.us", "@lid")):
        raise Refused(f"the stand-in does not model chats like {to!r}, only single contacts")
    if kind in MEDIA_TYPES:
        _check_media(frame)
    place = place_of(frame) if kind == "location" else {}
    if kind == "vcard" and not fields.text(frame, "body").startswith("BEGIN:VCARD"):
        raise Refused("a contact card must be a vCard")
    return {
        **{name: fields.text(frame, name, None) for name in _KEPT},
        "from_": conn.device.jid,
        "device": conn.device.id,
        "ts": int(time.time()),
        "dir": "out",
        "media_len": len(frame.get("media") or ""),  # of the base64 text
        **place,
    }


def checked_reaction(conn: Connection, frame: dict[str, Any], known: Callable[[str], bool]) -> dict[str, Any]:
    """Return the reaction in a `reaction` frame as the log keeps it; `known` says whether there is such a message.

    Raises:
        Refused: not logged in, or the message is unknown.
        BadField: a field is missing or malformed.
    """
    if not conn.authed or conn.device is None:
        raise Refused("not logged in")
    parent = frame.get("parent")
    if not isinstance(parent, dict) or not known(fields.text(parent, "id")):
        raise Refused("a reaction to a message that does not exist")
    return {
        "id": fields.text(frame, "id"),
        "to": fields.text(frame, "to"),
        "type": "reaction",
        "body": fields.text(frame, "text"),
        "parent": fields.text(parent, "id"),
        "from_": conn.device.jid,
        "device": conn.device.id,
        "ts": int(time.time()),
        "dir": "out",
    }


def place_of(source: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of a location. Raises BadField."""
    found: dict[str, Any] = {"loc": fields.text(source, "loc", None)}
    for name, most in (("lat", 90), ("lng", 180)):
        value = source.get(name)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not -most <= value <= most:
            raise fields.BadField(name, f"must be degrees between -{most} and {most}")
        found[name] = float(value)
    return found


def _check_media(frame: dict[str, Any]) -> None:
    media = fields.octets(frame, "media")
    if not media or fields.encode(hashlib.sha256(media).digest()) != frame.get("filehash"):
        raise Refused("the media was not uploaded, or is not what filehash says")
