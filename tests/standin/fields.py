"""Read single fields out of JSON objects that came from a socket or a control request, without trusting them."""

from __future__ import annotations

import base64
import binascii
import re
from typing import Any, overload

MAX_TEXT_CHARS = 65_536


class BadField(ValueError):
    """A field is missing or does not look as it must; the text names the field and the rule."""

    def __init__(self, name: str, rule: str) -> None:
        super().__init__(f"{name} {rule}")


@overload
def text(source: dict[str, Any], name: str, *, pattern: str = ..., rule: str = ...) -> str: ...
@overload
def text(source: dict[str, Any], name: str, default: str, *, pattern: str = ..., rule: str = ...) -> str: ...
@overload
def text(source: dict[str, Any], name: str, default: None, *, pattern: str = ..., rule: str = ...) -> str | None: ...
def text(
    source: dict[str, Any], name: str, default: Any = ..., *, pattern: str = r"(?s).*", rule: str = "has a bad form"
) -> str | None:
    """Return the string field `name`, or `default` when it is absent or null. `...` means that it is required."""
    value = source.get(name)
    if value is None:
        if default is ...:
            raise BadField(name, "is missing")
        assert default is None or isinstance(default, str)
        return default
    if not isinstance(value, str):
        raise BadField(name, "must be a string")
    if len(value) > MAX_TEXT_CHARS:
        raise BadField(name, f"must not be longer than {MAX_TEXT_CHARS} characters")
    if not re.fullmatch(pattern, value):
        raise BadField(name, rule)
    return value


def number(source: dict[str, Any], name: str, default: int | None = None) -> int:
    """Return the integer field `name`; `default` None means that it is required."""
    value = source.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int):
        raise BadField(name, "must be an integer" if name in source else "is missing")
    return value


def octets(source: dict[str, Any], name: str, length: int | None = None) -> bytes:
    """Return the base64 field `name` decoded; `length` is in bytes, None means any."""
    value = source.get(name)
    if not isinstance(value, str):
        raise BadField(name, "must be base64 text")
    return decode(value, name, length)


def decode(value: str, name: str, length: int | None = None) -> bytes:
    """Decode base64 text that was found under `name`."""
    try:
        raw = base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        raise BadField(name, "must be base64 text") from None
    if length is not None and len(raw) != length:
        raise BadField(name, f"must be {length} bytes long")
    return raw


def phone(source: dict[str, Any], name: str = "phone") -> str:
    """Return a required phone number: digits only, as WhatsApp writes it in ids."""
    return text(source, name, pattern=r"\d{5,20}", rule="must be 5 to 20 digits")


def encode(raw: bytes) -> str:
    """Base64 text of `raw`."""
    return base64.b64encode(raw).decode()
