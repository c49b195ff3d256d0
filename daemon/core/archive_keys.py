"""Reading `ARCHIVE_KEYS`: the keys that archives and hot copies are encrypted with. Pure."""

import base64
import binascii
import re

KEY_BYTES = 32
"""AES-256."""
_KEY_ID = re.compile(r"[A-Za-z0-9_-]{1,32}")


def parse_archive_keys(text: str) -> dict[str, bytes]:
    """Return key ids and keys of `id:base64[,id:base64...]`, in order; the first one seals, all of them open.

    Raises:
        ValueError: says which one is wrong by its place, never what it holds.
    """
    found: dict[str, bytes] = {}
    for place, part in enumerate((part.strip() for part in text.split(",")), 1):
        if not text.strip():
            break
        key_id, colon, coded = part.partition(":")
        if not colon or not _KEY_ID.fullmatch(key_id):
            raise ValueError(f"entry {place} must be id:key, the id of letters, digits, - and _")
        if key_id in found:
            raise ValueError(f"entry {place} has the id of an earlier one")
        key = _decode(coded)
        if key is None or len(key) != KEY_BYTES:
            raise ValueError(f"entry {place} must have a key of {KEY_BYTES} bytes in base64")
        found[key_id] = key
    return found


def archive_keys_text(keys: dict[str, bytes]) -> str:
    """Return what `parse_archive_keys` reads."""
    return ",".join(f"{key_id}:{base64.b64encode(key).decode('ascii')}" for key_id, key in keys.items())


def _decode(coded: str) -> bytes | None:
    try:
        return base64.b64decode(coded.replace("-", "+").replace("_", "/"), validate=True)
    except (binascii.Error, ValueError):
        return None
