"""What is written for a session that Redis may have lost."""

from dataclasses import replace

import pytest

from daemon.coordinator.recovering import UNKNOWN_USER, plan_mending
from daemon.core.clock import utc_now
from daemon.registry.tombstones import Tombstone
from daemon.sessions.known import KnownSession
from daemon.sessions.record import SessionRecord
from daemon.sessions.states import Desired, SessionState

NOW = utc_now()
KNOWN = KnownSession(session_id="s", workspace_id="7", user_id="12", newest=(5, 2), backed_up_at=NOW)
RECORD = SessionRecord(session_id="s", workspace_id="7", user_id="12", created_at=NOW, status_at=NOW)
GRAVE = Tombstone(session_id="s", workspace_id="7", void_token=5, at=NOW)


def test_a_session_with_an_archive_runs_again_and_never_asks_for_a_scan_by_itself() -> None:
    record = plan_mending(KNOWN, None, None, wanted=None, now=NOW).record
    assert record is not None
    assert (record.desired, record.status, record.paired, record.scan_allowed) == (
        Desired.RUNNING,
        SessionState.PENDING,
        True,
        False,
    )
    assert record.active_at == NOW


def test_what_redis_knows_is_left_as_it_is() -> None:
    mending = plan_mending(KNOWN, replace(RECORD, desired=Desired.STOPPED), None, wanted=None, now=NOW)
    assert (mending.record, mending.tombstone, mending.void_token) == (None, None, None)


def test_a_logged_out_login_stays_void_although_redis_fell_back_behind_it() -> None:
    known = replace(KNOWN, void_token=5)
    assert plan_mending(known, RECORD, None, wanted=None, now=NOW).void_token == 5
    assert plan_mending(known, replace(RECORD, void_token=6), None, wanted=None, now=NOW).void_token is None
    other = replace(RECORD, workspace_id="8")
    assert plan_mending(known, other, None, wanted=None, now=NOW).void_token is None


@pytest.mark.parametrize(
    ("known", "grave"),
    [
        (replace(KNOWN, desired=Desired.DELETED, void_token=5), None),
        (replace(KNOWN, void_token=5), None),
        (KNOWN, GRAVE),
        (replace(KNOWN, newest=None, desired=Desired.DELETED, void_token=5), None),
    ],
)
def test_an_ended_login_is_not_revived(known: KnownSession, grave: Tombstone | None) -> None:
    mending = plan_mending(known, None, grave, wanted=frozenset({"s"}), now=NOW)
    assert mending.record is None
    assert (mending.tombstone is not None) is (grave is None)


def test_a_login_after_an_ended_one_runs_and_the_ended_one_is_still_to_be_buried() -> None:
    mending = plan_mending(replace(KNOWN, newest=(6, 1), void_token=5), None, None, wanted=None, now=NOW)
    assert mending.record is not None and mending.record.void_token == 5
    assert mending.tombstone is not None and mending.tombstone.void_token == 5


def test_a_stopped_session_stays_stopped() -> None:
    record = plan_mending(replace(KNOWN, desired=Desired.STOPPED), None, None, wanted=None, now=NOW).record
    assert record is not None
    assert (record.desired, record.status) == (Desired.STOPPED, SessionState.STOPPED)


def test_the_platform_decides_what_runs_except_what_was_stopped_here() -> None:
    stopped = replace(KNOWN, desired=Desired.STOPPED)
    for known, wanted, desired in (
        (KNOWN, {"s"}, Desired.RUNNING),
        (KNOWN, {"other"}, Desired.STOPPED),
        (stopped, {"s"}, Desired.STOPPED),
    ):
        record = plan_mending(known, None, None, wanted=frozenset(wanted), now=NOW).record
        assert record is not None and record.desired is desired


def test_another_services_zip_is_taken_over_only_if_the_platform_says_so() -> None:
    legacy = replace(KNOWN, newest=(0, 0))
    assert plan_mending(legacy, None, None, wanted=None, now=NOW).record is None
    assert plan_mending(legacy, None, None, wanted=frozenset(), now=NOW).record is None
    assert plan_mending(legacy, None, None, wanted=frozenset({"s"}), now=NOW).record is not None


def test_a_session_whose_user_nobody_knows_is_not_lost() -> None:
    record = plan_mending(replace(KNOWN, user_id=None), None, None, wanted=None, now=NOW).record
    assert record is not None and record.user_id == UNKNOWN_USER
