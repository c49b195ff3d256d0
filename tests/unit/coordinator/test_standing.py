"""How shards stand: what heartbeats, exit reports, drains and the time gone say together."""

from dataclasses import replace
from datetime import timedelta

import pytest

from daemon.coordinator.standing import FORGET_AFTER_S, Stand, Stands, stands_of, with_unknown
from daemon.core.clock import utc_now
from daemon.registry.drains import Drain
from daemon.registry.exits import ExitReport
from daemon.registry.incarnations import incarnation_of
from daemon.registry.membership import Heartbeat
from daemon.registry.seen import SeenShard, is_end_of

NOW = utc_now()
GRACE_S = 10.0
BEAT = Heartbeat(
    name="a", host="h", pid=7, incarnation="7-abc", started_at=NOW - timedelta(hours=1), at=NOW,
    sessions=1, capacity=9, loop_lag_ms=0.0, rss_bytes=1,
)  # fmt: skip
CRASH = ExitReport(
    shard="a", holder_prefix="a:i:7-abc|", host="h", pid=7, expected=False, code_text="exited", at=NOW, recent=(NOW,)
)
STOP = replace(CRASH, expected=True, recent=())
UP = SeenShard(name="a", heartbeat=BEAT, last=incarnation_of(BEAT))
SILENT = replace(UP, heartbeat=None)
OTHER = SeenShard(name="b", heartbeat=replace(BEAT, name="b", incarnation="8-def"))


def stand(shard: SeenShard, *others: SeenShard, gone_s: float = 0.0) -> Stand:
    return stands_of([shard, *others], {"a": gone_s}, grace_s=GRACE_S, now=NOW).shards["a"]


def test_a_shard_that_beats_takes_sessions() -> None:
    assert (stand(UP).alive, stand(UP).open, stand(UP).in_grace) == (True, True, False)


def test_a_silent_shard_is_waited_for_and_then_not() -> None:
    assert stand(SILENT, OTHER, gone_s=GRACE_S - 1).in_grace
    assert not stand(SILENT, OTHER, gone_s=GRACE_S).in_grace
    assert not stand(SILENT, OTHER, gone_s=GRACE_S).alive


@pytest.mark.parametrize("heartbeat", [BEAT, None])
def test_a_shard_that_crashed_has_lost_its_sessions_at_once_whatever_its_heartbeat_says(
    heartbeat: Heartbeat | None,
) -> None:
    crashed = stand(replace(UP, heartbeat=heartbeat, exit=CRASH), OTHER)
    assert (crashed.alive, crashed.in_grace, crashed.dead_holder) == (False, False, "a:i:7-abc|")


@pytest.mark.parametrize("heartbeat", [BEAT, None])
def test_a_shard_that_was_stopped_is_waited_for(heartbeat: Heartbeat | None) -> None:
    stopped = stand(replace(UP, heartbeat=heartbeat, exit=STOP), OTHER)
    assert (stopped.alive, stopped.in_grace) == (False, True)


STOPPED = replace(UP, heartbeat=None, exit=STOP)
PEER_BEAT = replace(BEAT, name="b", incarnation="8-def", pid=8)
PEER_STOP = replace(STOP, shard="b", holder_prefix="b:i:8-def|", pid=8)
PEER = SeenShard(name="b", heartbeat=PEER_BEAT, last=incarnation_of(PEER_BEAT))


@pytest.mark.parametrize(
    ("peer", "peer_gone_s", "waited_for"),
    [
        (replace(PEER, heartbeat=replace(PEER_BEAT, stopping=True)), 0.0, True),
        (replace(PEER, heartbeat=replace(PEER_BEAT, stopping=True, host="elsewhere")), 0.0, False),
        (replace(PEER, heartbeat=None, exit=PEER_STOP), GRACE_S - 1, True),
        (replace(PEER, heartbeat=None, exit=PEER_STOP), GRACE_S, False),
        (PEER, 0.0, False),
        (replace(PEER, heartbeat=None, exit=replace(PEER_STOP, expected=False)), 0.0, False),
    ],
)
def test_of_shards_that_are_told_to_stop_together_none_is_late_before_the_last(
    peer: SeenShard, peer_gone_s: float, waited_for: bool
) -> None:
    gone_s = {"a": 6 * GRACE_S, "b": peer_gone_s}
    assert stands_of([STOPPED, peer], gone_s, grace_s=GRACE_S, now=NOW).shards["a"].in_grace is waited_for


def test_a_shard_that_is_back_is_alive_and_cools_after_a_crash() -> None:
    back = replace(UP, heartbeat=replace(BEAT, incarnation="7-xyz"), exit=CRASH)
    assert (stand(back, OTHER).alive, stand(back, OTHER).open) == (True, False)
    # The report is exact, so the leases of the dead process may be freed while the next one lives.
    assert stand(back, OTHER).dead_holder == "a:i:7-abc|"
    later = stands_of([back, OTHER], {}, grace_s=GRACE_S, now=NOW + timedelta(minutes=6))
    assert later.shards["a"].open


def test_shards_that_crashed_lately_take_sessions_when_no_other_does() -> None:
    back = replace(UP, heartbeat=replace(BEAT, incarnation="9-xyz"), exit=CRASH)
    stands = stands_of([back], {}, grace_s=GRACE_S, now=NOW)
    assert (stands.hurried, stands.shards["a"].open) == (True, True)


def test_what_is_placed_on_a_crashed_shard_waits_for_it_if_only_others_are_left_that_crashed() -> None:
    also = replace(OTHER, exit=replace(CRASH, shard="b", holder_prefix="b:i:1-old|"))
    crashed = replace(UP, exit=CRASH)
    assert stand(crashed, also).in_grace
    assert not stand(crashed, also, gone_s=GRACE_S).in_grace


def test_a_time_from_a_clock_that_is_wrong_closes_nothing() -> None:
    far = NOW + timedelta(hours=3)
    back = replace(UP, heartbeat=replace(BEAT, incarnation="9-xyz"), exit=replace(CRASH, at=far, recent=(far,)))
    assert stand(back, OTHER).open


def test_a_shard_that_drains_takes_nothing_and_is_not_waited_for() -> None:
    drain = Drain(since=NOW, total=1)
    assert (stand(replace(UP, drain=drain)).open, stand(replace(UP, drain=drain)).alive) == (False, True)
    assert not stand(replace(SILENT, drain=drain), OTHER).in_grace
    assert not stand(replace(SILENT, drain=drain), OTHER, gone_s=2 * FORGET_AFTER_S).long_gone


def test_a_report_is_about_the_process_that_it_names_only() -> None:
    process = incarnation_of(BEAT)
    by_number = replace(CRASH, holder_prefix="a:i:7-")
    assert is_end_of(CRASH, process)
    assert is_end_of(by_number, process)
    assert not is_end_of(replace(CRASH, holder_prefix="a:i:7-other|"), process)
    assert not is_end_of(replace(by_number, host="elsewhere"), process)
    assert not is_end_of(replace(by_number, pid=70), process)
    # A later process with the same number.
    assert not is_end_of(by_number, replace(process, started_at=NOW + timedelta(seconds=1)))


def test_leases_are_not_freed_by_a_number_that_a_living_process_has() -> None:
    by_number = replace(CRASH, holder_prefix="a:i:7-", at=NOW - timedelta(hours=2))
    assert stand(replace(UP, exit=by_number)).alive
    assert stand(replace(UP, exit=by_number)).dead_holder == ""


@pytest.mark.parametrize("incarnation", ["7-later", "9-later"])
def test_leases_are_not_freed_by_a_number_of_a_silent_process_that_may_still_hold_them(incarnation: str) -> None:
    by_number = replace(CRASH, holder_prefix="a:i:7-", at=NOW - timedelta(hours=2))
    silent = replace(UP, heartbeat=None, last=replace(incarnation_of(BEAT), incarnation=incarnation), exit=by_number)
    assert stand(silent).dead_holder == ("" if incarnation.startswith("7-") else "a:i:7-")
    assert stand(replace(silent, last=None)).dead_holder == ""


def test_a_shard_that_only_sessions_know_is_waited_for_as_a_silent_one() -> None:
    stands = with_unknown(Stands(shards={}), {"new": 1.0, "old": 11.0}, grace_s=10.0)
    assert (stands.shards["new"].in_grace, stands.shards["old"].in_grace) == (True, False)
    assert not any(stand.alive or stand.open or stand.long_gone for stand in stands.shards.values())
