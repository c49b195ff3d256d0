"""What the rows of the platform's table say of sessions. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from math import isfinite
from uuid import UUID

from daemon.core.errors import InvalidInputError
from daemon.core.ids import is_id, session_id_for
from daemon.sessions.known import KnownSession
from daemon.sessions.states import Desired

Row = tuple[object, object, object]
"""User, workspace and instance, as the driver gives them."""

_NAMED = 5


@dataclass(kw_only=True)
class Reading:
    """The sessions of a table, and what could not be one.

    `claimed`: session ids that several users or workspaces claim: whose they are, nobody can tell.
    """

    sessions: dict[str, KnownSession] = field(default_factory=dict)
    claimed: set[str] = field(default_factory=set)
    skipped: int = 0
    examples: list[dict[str, str]] = field(default_factory=list)
    """The ids of the first rows that were skipped, as far as they are ids."""

    def add(self, rows: Iterable[Row]) -> None:
        """Take in further rows."""
        for row in rows:
            known = session_of(row)
            if known is None:
                self.skipped += 1
                if len(self.examples) < _NAMED:
                    self.examples.append(_ids_of(row))
            elif self.sessions.setdefault(known.session_id, known) != known:
                self.claimed.add(known.session_id)

    def unclaimed(self) -> list[KnownSession]:
        """Return the sessions whose owner is certain."""
        return [known for session_id, known in self.sessions.items() if session_id not in self.claimed]


def session_of(row: Row) -> KnownSession | None:
    """Return the session of a row; None if it cannot be one.

    Its id is the instance's, or the default one where that is empty.
    """
    user_id, workspace_id, instance_id = (text_of(value) for value in row)
    if user_id is None or workspace_id is None or instance_id is None or not (is_id(user_id) and is_id(workspace_id)):
        return None
    try:
        session_id = instance_id or session_id_for(user_id, workspace_id)
    except InvalidInputError:
        return None  # too long together
    if not is_id(session_id):
        return None
    return KnownSession(session_id=session_id, workspace_id=workspace_id, user_id=user_id, desired=Desired.RUNNING)


def text_of(value: object) -> str | None:
    """Return an id as text, whatever type its column has; empty where there is none, None where it cannot be an id."""
    match value:
        case None:
            return ""
        case str():
            return value.strip()  # columns of a fixed width are filled up with spaces
        case bool():
            return None
        case int() | UUID():
            return str(value)
        case Decimal() | float():
            return str(int(value)) if isfinite(value) and value == int(value) else None
        case bytes():
            return value.decode().strip() if value.isascii() else None
        case _:
            return None


def _ids_of(row: Row) -> dict[str, str]:
    named = zip(("user_id", "workspace_id", "instance_id"), map(text_of, row), strict=True)
    return {name: text for name, text in named if text and is_id(text)}
