"""How a session record is written into the fields of a Redis hash, and read back."""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any

from daemon.core.clock import iso, parse_iso
from daemon.core.errors import DamagedError
from daemon.sessions.record import CopyFacts, Rollback, SessionRecord
from daemon.sessions.states import Desired, SessionState


def _facts_to_text(facts: CopyFacts) -> str:
    return json.dumps(asdict(facts) | {"at": iso(facts.at)}, separators=(",", ":"))


def _facts_from_text(text: str) -> CopyFacts:
    raw = json.loads(text)
    return CopyFacts(**(raw | {"at": parse_iso(raw["at"])}))


def to_text(value: object) -> str:
    """Return one field's value as text; None is the empty string."""
    match value:
        case None:
            return ""
        case bool():
            return "1" if value else "0"
        case datetime():
            return iso(value)
        case CopyFacts():
            return _facts_to_text(value)
        case Rollback():
            return f"{value.token}-{value.generation}-{value.until_token}"
        case (int(token), int(generation)):
            return f"{token}-{generation}"
        case Mapping():
            return json.dumps(dict(value), separators=(",", ":"))
        case _:
            return str(value)


def _order_from_text(text: str) -> tuple[int, int]:
    token, _, generation = text.partition("-")
    return (int(token), int(generation))


def _rollback_from_text(text: str) -> Rollback:
    token, generation, until_token = (int(part) for part in text.split("-"))
    return Rollback(token=token, generation=generation, until_token=until_token)


_READ: dict[str, Callable[[str], Any]] = {
    "metadata": json.loads,
    "created_at": parse_iso,
    "desired": Desired,
    "serial": int,
    "status": SessionState,
    "status_at": parse_iso,
    "retry_at": parse_iso,
    "failures": int,
    "token": int,
    "paired": lambda text: text == "1",
    "scan_allowed": lambda text: text == "1",
    "void_token": int,
    "hot_copy": _facts_from_text,
    "archive": _facts_from_text,
    "archive_begun": _order_from_text,
    "rollback": _rollback_from_text,
    "restored_at": parse_iso,
    "active_at": parse_iso,
}


def record_to_fields(record: SessionRecord) -> dict[str, str]:
    """Return all fields of a record as text."""
    return {name: to_text(getattr(record, name)) for name in SessionRecord.__dataclass_fields__}


def record_from_fields(session_id: str, fields: Mapping[str, str]) -> SessionRecord:
    """Return the record that the fields of a hash say; fields of a newer version are ignored.

    Raises:
        DamagedError: a field that cannot be read; names the field, never its value.
    """
    values: dict[str, Any] = {}
    for name in SessionRecord.__dataclass_fields__:
        text = fields.get(name, "")
        if text == "":
            continue
        try:
            values[name] = _READ[name](text) if name in _READ else text
        except (ValueError, KeyError, TypeError) as error:
            raise DamagedError(f"field {name} of the session record cannot be read", session_id=session_id) from error
    try:
        return SessionRecord(**values)
    except TypeError as error:
        raise DamagedError("the session record lacks fields", session_id=session_id) from error
