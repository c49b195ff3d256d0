"""The table of transitions."""

import pytest

from daemon.core.errors import IllegalTransitionError
from daemon.sessions.states import AT_REST, LOGGED_IN, NEEDS_SCAN, TRANSITIONS, SessionState, check_transition


def test_every_state_has_its_transitions() -> None:
    assert set(TRANSITIONS) == set(SessionState)


def test_every_state_can_be_reached_and_left() -> None:
    assert set().union(*TRANSITIONS.values()) == set(SessionState)
    assert all(TRANSITIONS.values())


def test_staying_is_always_allowed() -> None:
    for state in SessionState:
        check_transition(state, state)


@pytest.mark.parametrize(
    ("before", "after"), [("stopped", "connected"), ("pending", "qr"), ("disconnected", "syncing")]
)
def test_a_session_without_chromium_cannot_be_logged_in(before: str, after: str) -> None:
    with pytest.raises(IllegalTransitionError):
        check_transition(SessionState(before), SessionState(after))


def test_from_wherever_its_shard_died_a_session_can_start_again() -> None:
    for state in SessionState:
        check_transition(state, SessionState.STARTING)


def test_the_groups_do_not_overlap() -> None:
    assert not (AT_REST & LOGGED_IN) and not (AT_REST & NEEDS_SCAN) and not (LOGGED_IN & NEEDS_SCAN)
