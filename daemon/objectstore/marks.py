"""Marks: what was wanted of a session last, in a small object beside its archives.

Wishes and tombstones live in Redis. If Redis loses everything, the archives alone would bring back a session that was
stopped, deleted or logged out; its mark says so. A session without a mark should run. Pure.
"""

import json
import re
from dataclasses import dataclass
from datetime import datetime

from daemon.core.clock import iso, parse_iso
from daemon.core.errors import DamagedError
from daemon.objectstore.keys import prefix_of
from daemon.sessions.states import Desired

MAX_MARK_BYTES = 1024
_NAME = "mark.json"
_KEY = re.compile(r"workspace_([A-Za-z0-9][A-Za-z0-9_-]{0,99})/([A-Za-z0-9][A-Za-z0-9_-]{0,99})/mark\.json")


@dataclass(frozen=True, kw_only=True)
class Mark:
    """What is wanted, which copies are void, and since when."""

    desired: Desired
    void_token: int
    at: datetime

    @property
    def text(self) -> str:
        """The wish without its time, as a record's field `marked` has it."""
        return mark_text(self.desired, self.void_token)


def mark_text(desired: Desired, void_token: int) -> str:
    """Return a wish as a record's field `marked` has it."""
    return f"{desired}:{void_token}"


def mark_key(workspace_id: str, session_id: str) -> str:
    """Return the object name of a session's mark.

    Raises:
        InvalidInputError: not valid ids.
    """
    return prefix_of(workspace_id, session_id) + _NAME


def parse_mark_key(key: str) -> tuple[str, str] | None:
    """Return the workspace id and the session id of a mark's name; None for any other object."""
    match = _KEY.fullmatch(key)
    return (match[1], match[2]) if match else None


def mark_to_bytes(mark: Mark) -> bytes:
    """Return the content of a mark."""
    return json.dumps({"desired": mark.desired, "void_token": mark.void_token, "at": iso(mark.at)}).encode()


def mark_from_bytes(content: bytes) -> Mark:
    """Return the mark in an object.

    Raises:
        DamagedError: it is none; nobody knows what was wanted.
    """
    try:
        raw = json.loads(content)
        mark = Mark(desired=Desired(raw["desired"]), void_token=int(raw["void_token"]), at=parse_iso(raw["at"]))
    except (ValueError, TypeError, KeyError, OverflowError) as error:
        raise DamagedError("a session's mark cannot be read") from error
    if mark.void_token < 0:
        raise DamagedError("a session's mark cannot be read")
    return mark
