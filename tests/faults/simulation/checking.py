"""Checks a history for log-ins that lost something: pure, so that it can be tried on histories made by hand.

What must be kept is what a store has confirmed: from then on, no login may come with an older state, or with none.
Two holders at once and writes with a stale token are seen where they happen, by the judge and the eavesdropper.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from tests.faults.simulation.history import Entry, Kind

State = tuple[int, int]
NOTHING: State = (0, 0)


@dataclass(kw_only=True)
class _Known:
    """What is known of one session at one moment."""

    given: State = NOTHING
    in_redis: State = NOTHING
    in_store: State = NOTHING
    deleting: bool = False
    delete_lost: bool = False
    """Redis lost data since: it may not know of the delete any more."""
    ended_device: int = 0
    asked_to_delete: bool = False

    @property
    def durable(self) -> State:
        return NOTHING if self.deleting else max(self.in_redis, self.in_store)


@dataclass(frozen=True, kw_only=True)
class Complaint:
    """What must not have happened to a session."""

    session_id: str
    broken: str
    presented: State
    durable: State


class LoginCheck:
    """Walks through a history."""

    def __init__(self) -> None:
        self._known: dict[str, _Known] = {}
        self.complaints: list[Complaint] = []

    @classmethod
    def of(cls, entries: Iterable[Entry]) -> "LoginCheck":
        """Check entries that are in the order of their times."""
        check = cls()
        for entry in entries:
            check._take(entry)
        return check

    def durable(self, session_id: str) -> State:
        """Return the newest state that must not be lost now; (0, 0) when there is none."""
        return self._known.get(session_id, _Known()).durable

    def in_store(self, session_id: str) -> bool:
        """Whether the object store has a login of it."""
        return self._known.get(session_id, _Known()).in_store != NOTHING

    def _take(self, entry: Entry) -> None:
        known = self._known.setdefault(entry.what, _Known())
        match entry.kind:
            case Kind.LOGIN:
                self._login(entry.what, known, entry.facts["presented"])
            case Kind.GIVEN:
                known.given = entry.facts["state"]
            case Kind.COPY if entry.facts["of"] == "hot_copy":
                known.in_redis = max(known.in_redis, known.given)
            case Kind.COPY:
                known.in_store = max(known.in_store, known.given)
            case Kind.LOSS:
                for each in self._known.values():
                    each.in_redis, each.ended_device = NOTHING, 0  # nor does it know any more what was deleted
                    each.delete_lost = each.deleting
            case Kind.STATE if entry.facts["reason"] == "deleted" and not known.asked_to_delete:
                self._complain(entry.what, known, "ended as if it was deleted", known.given)
            case Kind.DELETING:
                known.deleting, known.delete_lost, known.asked_to_delete = True, False, True
            case Kind.MADE if known.deleting:
                known.deleting, known.ended_device = False, 0 if known.delete_lost else known.given[0]
                known.in_redis = known.in_store = NOTHING

    def _login(self, session_id: str, known: _Known, presented: State) -> None:
        broken = None
        if not known.deleting and 0 < presented[0] <= known.ended_device:
            broken = "a deleted login came back"
        elif presented < known.durable:
            broken = "a login was lost" if presented == NOTHING else "an old state was logged in"
        if broken is not None:
            self._complain(session_id, known, broken, presented)

    def _complain(self, session_id: str, known: _Known, broken: str, presented: State) -> None:
        durable = known.durable
        self.complaints.append(Complaint(session_id=session_id, broken=broken, presented=presented, durable=durable))
