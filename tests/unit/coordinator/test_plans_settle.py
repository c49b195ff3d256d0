"""Plans come to an end: applied to the view that they were made from, they leave nothing more to move."""

from collections import Counter
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from daemon.coordinator.standing import Stand, Stands
from daemon.coordinator.steps import Steps, View, placement_of, plan_steps
from daemon.core.clock import utc_now
from daemon.registry.drains import Drain
from daemon.sessions.states import Desired, SessionState
from daemon.sessions.summary import Summary

NAMES = ("a", "b", "c", "d")
SHARD = st.one_of(st.none(), st.sampled_from((*NAMES, "unknown")))
DRAIN = Drain(since=utc_now(), total=1)


@st.composite
def stands(draw: st.DrawFn, name: str) -> Stand:
    alive = draw(st.booleans())
    draining = draw(st.integers(0, 3)) == 0
    return Stand(
        name=name,
        alive=alive,
        open=alive and not draining and draw(st.integers(0, 3)) > 0,
        in_grace=not alive and draw(st.booleans()),
        draining=draining,
        drain=DRAIN if draining else None,
        capacity=draw(st.integers(1, 8)) if alive else 0,
    )


@st.composite
def summaries(draw: st.DrawFn, number: int) -> Summary:
    return Summary(
        session_id=f"s{number:02d}", workspace_id="w", serial=0,
        desired=draw(st.sampled_from([Desired.RUNNING, Desired.RUNNING, Desired.RUNNING, *Desired])),
        status=draw(st.sampled_from([SessionState.CONNECTED, SessionState.CONNECTED, *SessionState])),
        shard=draw(SHARD), moving_from=draw(st.one_of(st.none(), st.none(), SHARD)), runs_on=draw(SHARD),
        unsaved=draw(st.one_of(st.none(), st.none(), SHARD)), token=0, void_token=0, marked=None,
    )  # fmt: skip


@st.composite
def views(draw: st.DrawFn) -> View:
    sessions = tuple(draw(summaries(number)) for number in range(draw(st.integers(0, 12))))
    shards = {name: draw(stands(name)) for name in NAMES}
    placed = {
        name: frozenset(s.session_id for s in sessions if s.shard == name or draw(st.integers(0, 9)) == 0)
        for name, stand in shards.items()
        if stand.alive
    }
    return View(
        sessions=sessions, stands=Stands(shards=shards, hurried=draw(st.integers(0, 9)) == 0), placed=placed,
        parallel=draw(st.integers(1, 4)), rebalance=draw(st.booleans()),
    )  # fmt: skip


def applied(view: View, steps: Steps) -> View:
    """Return the view that follows when a plan's placements are made."""
    places = {p.session_id: p for p in (*map(placement_of, steps.moves), *steps.unplace)}
    ended = set(steps.end_handovers)
    gone = {session.session_id for session in steps.finish_delete}
    sessions = []
    for session in view.sessions:
        if session.session_id in gone:
            continue
        if session.session_id in ended:
            session = replace(session, moving_from=None)
        if session.session_id in places:
            placement = places[session.session_id]
            session = replace(session, shard=placement.to, moving_from=placement.moving_from)
        sessions.append(session)
    placed = {
        name: frozenset(s.session_id for s in sessions if s.shard == name)
        for name, stand in view.stands.shards.items()
        if stand.alive
    }
    return replace(view, sessions=tuple(sessions), placed=placed)


def arrived(view: View) -> View:
    """Return the view once every handover has come to its end, and every start."""
    return replace(
        view,
        sessions=tuple(
            replace(s, runs_on=s.shard, status=SessionState.CONNECTED)
            if s.moving_from is not None and s.shard in view.stands.shards and view.stands.shards[s.shard].alive
            else s
            for s in view.sessions
        ),
    )


@settings(max_examples=100, deadline=None)
@given(views())
def test_a_plan_that_is_carried_out_leaves_no_move_but_of_the_next_handovers(view: View) -> None:
    # What the first plan deletes and unplaces makes room for what found none.
    once = applied(view, plan_steps(view))
    following = plan_steps(applied(once, plan_steps(once)))
    unplanned = [move for move in following.moves if placement_of(move).moving_from is None]
    assert unplanned == []


@settings(max_examples=100, deadline=None)
@given(views())
def test_planned_handovers_come_to_an_end(view: View) -> None:
    seen = Counter[str]()
    for _ in range(200):
        steps = plan_steps(view)
        if not steps.moves and not steps.end_handovers and not steps.unplace:
            break
        seen.update(move.session_id for move in steps.moves)
        view = arrived(applied(view, steps))
    assert not plan_steps(view).moves
    # Once because its shard was gone or drained, and once more to even out.
    assert all(count <= 3 for count in seen.values()), seen


@settings(max_examples=100, deadline=None)
@given(views())
def test_a_session_on_a_living_shard_moves_only_for_a_drain_or_to_even_out(view: View) -> None:
    shards = view.stands.shards
    for move in plan_steps(view).moves:
        if move.before is not None and move.before in shards and shards[move.before].alive:
            assert shards[move.before].draining or view.rebalance
            assert placement_of(move).moving_from == move.before
        assert shards[move.to].alive
        assert shards[move.to].open


@settings(max_examples=100, deadline=None)
@given(views())
def test_there_are_never_more_handovers_under_way_than_allowed(view: View) -> None:
    steps = plan_steps(view)
    begun = [move for move in steps.moves if placement_of(move).moving_from is not None]
    assert not begun or len(begun) + len(view.under_way) <= view.parallel
    assert not begun or not view.stands.hurried


@settings(max_examples=100, deadline=None)
@given(views())
def test_no_shard_is_given_more_than_it_may_carry(view: View) -> None:
    steps = plan_steps(view)
    before = Counter(s.shard for s in view.sessions)
    given_to = Counter(move.to for move in steps.moves)
    for name, count in given_to.items():
        assert before[name] + count <= view.stands.shards[name].capacity
