"""Which records need their marks written: as few as possible, and none too few."""

import pytest

from daemon.coordinator.marking import needs_marking, wish_of
from daemon.core.clock import utc_now
from daemon.sessions.record import SessionRecord
from daemon.sessions.states import Desired


def record(desired: Desired = Desired.RUNNING, **fields: object) -> SessionRecord:
    now = utc_now()
    return SessionRecord(
        session_id="s", workspace_id="7", user_id="u", created_at=now, status_at=now, desired=desired, **fields
    )  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("one", "needs"),
    [
        (record(), False),
        (record(token=9), False),
        (record(void_token=3), True),
        (record(void_token=3, marked="running:3"), False),
        (record(void_token=4, marked="running:3"), True),
        (record(marked="stopped:0"), True),
        (record(Desired.STOPPED), True),
        (record(Desired.STOPPED, marked="stopped:0"), False),
        (record(Desired.STOPPED, marked="running:3", void_token=3), True),
        (record(Desired.DELETED), True),
        (record(Desired.DELETED, marked="stopped:0"), True),
        (record(Desired.DELETED, token=5, marked="deleted:0"), True),
        (record(Desired.DELETED, token=5, marked="deleted:5"), False),
    ],
)
def test_a_mark_is_written_when_it_says_something_else_than_the_wish(one: SessionRecord, needs: bool) -> None:
    assert needs_marking(one) is needs
    assert not needs_marking(record(one.desired, token=one.token, void_token=one.void_token, marked=wish_of(one)))
