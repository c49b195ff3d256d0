"""What the page tells of messages, as Laravel is told: the bridge's plain data in the shape of the webhook contract.

Nothing in it is believed: a contact card or a place is whatever the sender made of it.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from daemon.sessions.events import EventKind
from shards.page.events import PageEvent, PageEventKind

_PASSED_ON = (
    "id", "chat", "from", "to", "author", "body", "type", "timestamp", "from_me", "notify_name", "has_media",
    "mimetype", "filename", "size_bytes", "quoted_id",
)  # fmt: skip
_NAME_CHARS = 300
_PHONES = 20
_LINE = re.compile(r"(?:item\d+\.)?(?P<name>[A-Za-z-]+)(?P<parameters>(?:;[^:]*)?):(?P<value>.*)")
_WAID = re.compile(r"waid=(\d{5,20})", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class Told:
    """What Laravel is told. `identity` names what happened: the same one is told once."""

    kind: EventKind
    identity: str
    data: Mapping[str, Any] = field(repr=False)


def told_of(event: PageEvent) -> Told | None:
    """Return what Laravel is told of an event of the page; None for what is of no use to it."""
    data = event.data
    match event.kind:
        case PageEventKind.MESSAGE if data.get("from_me"):
            # Sent by this account: told as a message, it would make bots answer themselves.
            return None
        case PageEventKind.MESSAGE:
            return Told(kind=EventKind.MESSAGE, data=message_told(data), identity=str(data.get("id")))
        case PageEventKind.REACTION:
            names = ("reaction_id", "message_id", "emoji")
            return Told(kind=EventKind.MESSAGE_REACTION, data=change_told(data), identity=_joined(data, *names))
        case PageEventKind.EDITED:
            identity = _joined(data, "message_id", "edit_id")
            return Told(kind=EventKind.MESSAGE_EDITED, data=change_told(data), identity=identity)
        case PageEventKind.REVOKED:
            return Told(kind=EventKind.MESSAGE_REVOKED, data=change_told(data), identity=_joined(data, "message_id"))
        case PageEventKind.ACK:
            return Told(kind=EventKind.MESSAGE_ACK, data=data, identity=_joined(data, "message_id", "ack"))
        case _:
            return None


def _joined(data: Mapping[str, Any], *names: str) -> str:
    return ":".join(str(data.get(name)) for name in names)


def message_told(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return the data of a `message` event."""
    told = {name: data.get(name) for name in _PASSED_ON}
    cards = data.get("cards")
    return told | {
        "location": _location(data.get("place")),
        "contacts": [contact_of(card) for card in cards if isinstance(card, str)] if isinstance(cards, list) else None,
    }


def change_told(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return the data of an event about an earlier message, without what only tells repeats apart."""
    return {name: value for name, value in data.items() if name not in {"reaction_id", "edit_id"}}


def contact_of(card: str) -> dict[str, Any]:
    """Return `{name, phones}` of a vCard; phones are digits where WhatsApp knows them, else as they are written."""
    name, phones = "", list[str]()
    for line in re.sub(r"\r?\n[ \t]", "", card).splitlines():
        found = _LINE.fullmatch(line.strip())
        if found is None:
            continue
        value = found["value"].strip()
        match found["name"].upper():
            case "FN":
                name = _unescaped(value)[:_NAME_CHARS]
            case "N" if not name:
                name = " ".join(part for part in reversed(_unescaped(value).split(";")) if part)[:_NAME_CHARS]
            case "TEL" if len(phones) < _PHONES:
                account = _WAID.search(found["parameters"])
                phones.append(account[1] if account else value[:_NAME_CHARS])
    return {"name": name, "phones": phones}


def _unescaped(value: str) -> str:
    return re.sub(r"\\([,;\\nN])", lambda found: "\n" if found[1] in "nN" else found[1], value)


def _location(place: object) -> dict[str, Any] | None:
    if not isinstance(place, Mapping):
        return None
    latitude, longitude = place.get("latitude"), place.get("longitude")
    if not _is_degrees(latitude) or not _is_degrees(longitude):
        return None
    name, _, address = str(place.get("text") or "").partition("\n")
    return {"latitude": latitude, "longitude": longitude, "name": name or None, "address": address or None}


def _is_degrees(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
