"""Names of archives in the bucket: `workspace_{workspace_id}/{session_id}/t{token:08d}-g{generation:08d}.zip`. Pure.

Ids have no slash and no dot, so no id can lead into another session's place. Order is by number, not by name: a
number of more than eight digits makes a longer name.
"""

import re
from dataclasses import dataclass

from daemon.core.errors import InvalidInputError
from daemon.core.ids import check_id

_KEY = re.compile(r"workspace_([A-Za-z0-9_-]{1,100})/([A-Za-z0-9_-]{1,100})/t([0-9]{8,18})-g([0-9]{8,18})\.zip")


@dataclass(frozen=True, kw_only=True, order=True)
class ArchiveName:
    """The parts of an archive's name."""

    workspace_id: str
    session_id: str
    token: int
    generation: int


def prefix_of(workspace_id: str, session_id: str) -> str:
    """Return what the names of all archives of one session begin with.

    Raises:
        InvalidInputError: not valid ids.
    """
    return f"workspace_{check_id(workspace_id, 'workspace_id')}/{check_id(session_id, 'session_id')}/"


def key_of(name: ArchiveName) -> str:
    """Return the object name of an archive.

    Raises:
        InvalidInputError: not valid ids, or a number below zero.
    """
    if name.token < 0 or name.generation < 0:
        raise InvalidInputError("token and generation cannot be negative", field="token")
    prefix = prefix_of(name.workspace_id, name.session_id)
    return f"{prefix}t{name.token:08d}-g{name.generation:08d}.zip"


def parse_key(key: str) -> ArchiveName | None:
    """Return the parts of an archive's name; None for any other object, also for one that `key_of` would not make."""
    match = _KEY.fullmatch(key)
    if match is None:
        return None
    name = ArchiveName(workspace_id=match[1], session_id=match[2], token=int(match[3]), generation=int(match[4]))
    try:
        return name if key_of(name) == key else None
    except InvalidInputError:
        return None
