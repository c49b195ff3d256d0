"""What happened in one schedule, and what of it must never have happened."""

import time
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Kind(StrEnum):
    """What an entry tells."""

    FAULT = "fault"
    """The runner did something to a process."""
    WISH = "wish"
    """The runner asked for something as the API would."""
    DELETING = "deleting"
    """A session is to be deleted, or may be: its copies need not be kept any more."""
    MADE = "made"
    """A session was made: after its delete, no login from before may come back."""
    LOGIN = "login"
    """A browser came to the judge, with the state that it has."""
    GIVEN = "given"
    """A browser was logged in, and given its new state."""
    LEFT = "left"
    """A browser that was let in has ended."""
    GRANT = "grant"
    """Redis gave a lease with a token."""
    STATE = "state"
    """A holder wrote a session's state."""
    COPY = "copy"
    """A copy of a session was confirmed."""
    LOSS = "loss"
    """Redis lost what it had, or some of it."""
    BROKEN = "broken"
    """Something happened that must not."""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One thing that happened, at a time of the host's clock. `what` is the session, where it is about one."""

    at_s: float
    kind: Kind
    what: str
    facts: dict[str, Any] = field(default_factory=dict)


class History:
    """The entries of one schedule. Redis' entries come with its own times, and so not always in order."""

    def __init__(self) -> None:
        self._began_s = time.time()
        self._entries: list[Entry] = []

    @property
    def entries(self) -> list[Entry]:
        """All entries by their times."""
        return sorted(self._entries, key=lambda entry: entry.at_s)

    def note(self, kind: Kind, what: str, *, at_s: float | None = None, **facts: Any) -> None:
        """Write down what happened."""
        self._entries.append(Entry(at_s=time.time() if at_s is None else at_s, kind=kind, what=what, facts=facts))

    def fail(self, broken: str, session_id: str, **facts: Any) -> None:
        """Write down what must not have happened."""
        self.note(Kind.BROKEN, session_id, broken=broken, **facts)

    @property
    def broken(self) -> list[Entry]:
        """What must not have happened."""
        return [entry for entry in self.entries if entry.kind is Kind.BROKEN]

    def count(self, kind: Kind) -> int:
        """Return how many entries are of one kind."""
        return sum(entry.kind is kind for entry in self._entries)

    def line(self, entry: Entry) -> str:
        """Return an entry as one line."""
        facts = " ".join(f"{name}={value}" for name, value in entry.facts.items())
        return f"{entry.at_s - self._began_s:7.3f}  {entry.kind:<8}  {entry.what}  {facts}".rstrip()

    def __str__(self) -> str:
        return "\n".join(self.line(entry) for entry in self.entries)
