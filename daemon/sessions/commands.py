"""Commands: what must happen once on the shard that runs a session, and the answer to it.

A command is claimed before it is begun: whoever claims first (the shard that carries it out, or the coordinator
that gave up waiting) decides, so "certainly not done" and "may have been done" are never confused.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class CommandKind(StrEnum):
    """What a shard can be asked to do."""

    WAKE = "wake"
    """Look at the placements now instead of at the next tick; has no answer and may be lost."""
    STORE = "store"
    """Store what this disk has of a session for which another shard waits; has no answer and may be lost."""
    SEND = "send"
    FIND_NUMBER = "find_number"
    GET_MEDIA = "get_media"
    PAIRING_CODE = "pairing_code"
    LOGOUT = "logout"
    BACKUP = "backup"
    UNKNOWN = "unknown"
    """Never given: how one is received that this version does not know. Its `kind` as it was is in the arguments."""


WITHOUT_ANSWER = frozenset({CommandKind.WAKE, CommandKind.STORE})
"""Nobody waits for these, and doing them twice does no harm, so they are not claimed either."""


class Outcome(StrEnum):
    """Whether a command took effect."""

    DONE = "done"
    NOT_DONE = "not_done"
    UNKNOWN = "unknown"


@dataclass(frozen=True, kw_only=True)
class Command:
    """One command to one shard. `arguments` may hold message text: never log it."""

    command_id: str
    shard: str
    kind: CommandKind
    session_id: str
    arguments: Mapping[str, Any] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, kw_only=True)
class Reply:
    """The shard's answer. `code` and `message` are set unless the outcome is DONE."""

    outcome: Outcome
    result: Mapping[str, Any] = field(default_factory=dict, repr=False)
    code: str = ""
    message: str = ""
