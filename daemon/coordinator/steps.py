"""`plan_steps`: from one immutable view of sessions and shards, what one cycle of the reconcile loop does. Pure."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace

from daemon.coordinator.standing import Stand, Stands
from daemon.placement.plan import Move, MoveWhy, Placeable, plan_moves
from daemon.placement.ring import ShardLoad
from daemon.registry.drains import Drain, DrainCount
from daemon.registry.placements import Placement
from daemon.sessions.states import AT_REST, WAITS_FOR_START, Desired, SessionState
from daemon.sessions.summary import Summary

_PLANNED = frozenset({MoveWhy.DRAIN, MoveWhy.REBALANCE})


@dataclass(frozen=True, kw_only=True)
class View:
    """Everything one cycle decides on."""

    sessions: tuple[Summary, ...]
    stands: Stands
    placed: Mapping[str, frozenset[str]]
    """The sets of placements of the living shards."""
    parallel: int = 8
    """Most planned handovers under way at a time."""
    rebalance: bool = False

    @property
    def under_way(self) -> tuple[Summary, ...]:
        """The sessions that are being handed over."""
        return tuple(session for session in self.sessions if session.moving_from and not session.settled)


@dataclass(frozen=True, kw_only=True)
class Freeing:
    """Leases of a dead process to be freed."""

    holder_prefix: str
    session_ids: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Steps:
    """What one cycle does, in this order. Each step is safe to repeat, and safe to leave out the rest after."""

    free: tuple[Freeing, ...] = ()
    moves: tuple[Move, ...] = ()
    end_handovers: tuple[str, ...] = ()
    missing: tuple[Placement, ...] = ()
    """Placements that a record has and its shard's set has not."""
    extra: frozenset[tuple[str, str]] = frozenset()
    """(shard, session id) of set members that no record asks for."""
    mark_stopped: tuple[Summary, ...] = ()
    unplace: tuple[Placement, ...] = ()
    finish_delete: tuple[Summary, ...] = ()
    forget: tuple[str, ...] = ()
    """Shards that are gone for good and have nothing placed on them."""
    drains: Mapping[str, Drain] | None = None
    """How far the drains are once the moves are made."""

    @property
    def empty(self) -> bool:
        """Whether nothing is left to do."""
        return not self.pressing and not self.mark_stopped

    @property
    def pressing(self) -> bool:
        """Whether to look again at once. What is to be marked as stopped is mostly still being closed by its shard."""
        return any(getattr(self, part.name) for part in fields(self) if part.name not in {"drains", "mark_stopped"})


def plan_steps(view: View) -> Steps:
    """Decide what to do about a view."""
    shards = view.stands.shards
    moves = _moves(view)
    unplace = tuple(
        Placement(session_id=session.session_id, before=session.shard, to=None)
        for session in view.sessions
        if session.shard is not None and _needs_no_place(session, shards.get(session.shard))
    )
    return Steps(
        free=_freeing(view, moves),
        moves=moves,
        end_handovers=tuple(
            s.session_id for s in view.sessions if s.moving_from and (s.settled or s.desired is not Desired.RUNNING)
        ),
        missing=tuple(
            Placement(session_id=session.session_id, before=session.shard, to=session.shard)
            for session in view.sessions
            if session.shard is not None
            and session.desired is Desired.RUNNING
            and session.session_id not in view.placed.get(session.shard, {session.session_id})
        ),
        extra=_extra(view),
        # While a shard holds the lease the write is refused: then it is the shard's to stop it.
        mark_stopped=tuple(
            s for s in view.sessions if s.desired is Desired.STOPPED and s.status is not SessionState.STOPPED
        ),
        unplace=unplace,
        finish_delete=tuple(session for session in view.sessions if session.desired is Desired.DELETED),
        forget=_forget(view),
        drains=_drains(view, moves, unplace),
    )


def _moves(view: View) -> tuple[Move, ...]:
    shards, hurried = view.stands.shards, view.stands.hurried
    wanted = tuple(
        Placeable(session_id=s.session_id, shard=s.shard, prefer=s.unsaved, movable=s.movable)
        for s in view.sessions
        if s.desired is Desired.RUNNING and s.status not in WAITS_FOR_START
    )
    return plan_moves(
        wanted,
        loads_of(shards.values(), Counter(s.shard for s in view.sessions if s.shard is not None)),
        in_grace=frozenset(name for name, stand in shards.items() if stand.in_grace),
        draining=frozenset(name for name, stand in shards.items() if stand.draining and stand.alive),
        handovers=0 if hurried else max(0, view.parallel - len(view.under_way)),
        rebalance=view.rebalance,
    )


def loads_of(shards: Iterable[Stand], counts: Mapping[str, int]) -> dict[str, ShardLoad]:
    """Return the loads of the living shards, given how many sessions are placed on each."""
    return {
        shard.name: ShardLoad(
            name=shard.name, sessions=counts.get(shard.name, 0), capacity=shard.capacity, open=shard.open
        )
        for shard in shards
        if shard.alive
    }


def placement_of(move: Move) -> Placement:
    """Return what is written down for a move."""
    planned = move.why in _PLANNED
    return Placement(
        session_id=move.session_id, before=move.before, to=move.to, moving_from=move.before if planned else None
    )


def _needs_no_place(session: Summary, stand: Stand | None) -> bool:
    """Whether a session should be on no shard: it takes no room, and the ring finds it a place when it is started."""
    if session.desired is Desired.STOPPED:
        return session.status is SessionState.STOPPED
    waits = session.desired is Desired.RUNNING and session.status in WAITS_FOR_START and session.unsaved is None
    return waits and (stand is None or stand.draining or stand.long_gone)


def _freeing(view: View, moves: Sequence[Move]) -> tuple[Freeing, ...]:
    """Return the leases that keep sessions from a living shard although their holder is known to be dead."""
    going = {move.session_id for move in moves}
    found = []
    for stand in view.stands.shards.values():
        if not stand.dead_holder:
            continue
        ids = tuple(
            s.session_id
            for s in view.sessions
            if (s.shard == stand.name and s.session_id in going)
            or (s.shard != stand.name and _left_behind_by(s, stand.name))
        )
        if ids:
            found.append(Freeing(holder_prefix=stand.dead_holder, session_ids=ids))
    return tuple(found)


def _left_behind_by(session: Summary, shard: str) -> bool:
    return session.runs_on == shard and session.status not in AT_REST


def _extra(view: View) -> frozenset[tuple[str, str]]:
    where = {session.session_id: session.shard for session in view.sessions}
    return frozenset(
        (shard, session_id)
        for shard, members in view.placed.items()
        for session_id in members
        if where.get(session_id) != shard
    )


def _forget(view: View) -> tuple[str, ...]:
    named = {session.shard for session in view.sessions}
    return tuple(sorted(n for n, stand in view.stands.shards.items() if stand.long_gone and n not in named))


def _drains(view: View, moves: Sequence[Move], unplace: Sequence[Placement]) -> Mapping[str, Drain]:
    going = {move.session_id for move in moves} | {placement.session_id for placement in unplace}
    begun = Counter(move.before for move in moves if move.why in _PLANNED)
    under_way = Counter(session.moving_from for session in view.under_way)
    drains = {}
    for name, stand in view.stands.shards.items():
        if stand.drain is None:
            continue
        left = [s for s in view.sessions if s.shard == name and s.session_id not in going]
        moving = under_way[name] + begun[name]
        blocked = _blocked_reason(view, left) if left and not moving else None
        count = DrainCount(left=len(left), moving=moving, blocked_reason=blocked)
        drains[name] = replace(stand.drain, count=count)
    return drains


def _blocked_reason(view: View, left: Sequence[Summary]) -> str | None:
    """Return why none of these sessions is handed over; None if they only have to settle first."""
    if view.stands.hurried or not any(stand.open for stand in view.stands.shards.values()):
        return "no_open_shard"
    if view.under_way:
        return None  # another shard's handovers take all places now
    if any(session.movable for session in left):
        return "shards_full"
    return "unsaved_state" if any(session.unsaved is not None for session in left) else None
