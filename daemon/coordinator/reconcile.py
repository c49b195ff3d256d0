"""The reconcile loop: look at everything once, plan, then act in steps that are safe to repeat.

It is level-triggered: whatever message was lost, whatever coordinator died half-way, the next look repairs it.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import structlog

from daemon.coordinator.leader import Leadership
from daemon.coordinator.placer import Placer, loads_of
from daemon.core.clock import mono_s, utc_now
from daemon.core.errors import ConflictError, SessionNotFoundError
from daemon.placement.plan import Move, MoveWhy, Placeable, plan_moves
from daemon.placement.ring import ShardLoad
from daemon.registry.membership import ShardView
from daemon.registry.registry import Registry
from daemon.registry.tombstones import Tombstone
from daemon.sessions.record import SessionRecord
from daemon.sessions.states import WAITS_FOR_START, Desired, SessionState

log = structlog.get_logger()

_FORGET_AFTER_S = 3600.0
_T = TypeVar("_T")


@dataclass(frozen=True, kw_only=True)
class View:
    """Everything one cycle decides on."""

    records: tuple[SessionRecord, ...]
    shards: tuple[ShardView, ...]
    loads: Mapping[str, ShardLoad]
    in_grace: frozenset[str]
    placed: Mapping[str, frozenset[str]]
    """The sets of placements of the living shards."""
    long_gone: frozenset[str] = frozenset()
    """Shards that have been gone for so long that they will not come back."""


@dataclass(frozen=True, kw_only=True)
class Steps:
    """What one cycle does."""

    moves: tuple[Move, ...]
    finish_delete: tuple[SessionRecord, ...]
    mark_stopped: tuple[SessionRecord, ...]
    unplace: tuple[SessionRecord, ...]
    missing: tuple[Move, ...]
    """Placements that a record has and its shard's set has not."""
    extra: frozenset[tuple[str, str]]
    """(shard, session id) of set members that no record asks for."""
    forget: tuple[str, ...]
    """Shards that are gone for good and have nothing placed on them."""


def plan_steps(view: View) -> Steps:
    """Decide what to do about a view."""
    wanted = tuple(
        Placeable(session_id=record.session_id, shard=record.shard)
        for record in view.records
        if record.desired is Desired.RUNNING and record.status not in WAITS_FOR_START
    )
    return Steps(
        moves=plan_moves(wanted, view.loads, in_grace=view.in_grace),
        missing=tuple(
            Move(session_id=record.session_id, before=None, to=record.shard, why=MoveWhy.NEW)
            for record in view.records
            if record.shard is not None
            and record.desired is Desired.RUNNING
            and record.session_id not in view.placed.get(record.shard, {record.session_id})
        ),
        extra=_extra(view),
        forget=tuple(sorted(view.long_gone - {record.shard for record in view.records})),
        finish_delete=tuple(record for record in view.records if record.desired is Desired.DELETED),
        mark_stopped=tuple(
            record
            for record in view.records
            # While a shard holds the lease the write is refused: then it is the shard's to stop it.
            if record.desired is Desired.STOPPED and record.status is not SessionState.STOPPED
        ),
        unplace=tuple(
            record
            for record in view.records
            if record.desired is Desired.STOPPED and record.status is SessionState.STOPPED and record.shard
        ),
    )


def _extra(view: View) -> frozenset[tuple[str, str]]:
    where = {record.session_id: record.shard for record in view.records}
    return frozenset(
        (shard, session_id)
        for shard, members in view.placed.items()
        for session_id in members
        if where.get(session_id) != shard
    )


class Reconciler:
    """The loop's state: since when each shard has been gone, by this process's monotonic clock."""

    def __init__(
        self,
        registry: Registry,
        placer: Placer,
        leadership: Leadership,
        *,
        grace_s: float,
        seen: Callable[[Sequence[SessionRecord]], None] | None = None,
    ) -> None:
        """`seen` is told the records of each look; it must not take long."""
        self._registry = registry
        self._seen = seen
        self._placer = placer
        self._leadership = leadership
        self._grace_s = grace_s
        self._gone_since_mono_s: dict[str, float] = {}
        self._extra_before: frozenset[tuple[str, str]] = frozenset()

    async def cycle(self) -> None:
        """Look and act once, if this coordinator leads."""
        if not await self._leadership.keep():
            return
        await self.apply(plan_steps(await self.look()))

    async def look(self) -> View:
        """Return one immutable view."""
        shards = await self._registry.shards.all()
        placed = await self._registry.records.placed_sets([shard.name for shard in shards if shard.alive])
        records = tuple(await self._registry.records.all())
        if self._seen is not None:
            self._seen(records)
        return View(
            records=records,
            shards=shards,
            loads=loads_of(shards, {name: len(members) for name, members in placed.items()}),
            in_grace=self._note_gone(shards),
            placed=placed,
            long_gone=self._gone_for(_FORGET_AFTER_S),
        )

    def _note_gone(self, shards: tuple[ShardView, ...]) -> frozenset[str]:
        now_mono_s = mono_s()
        gone = {shard.name for shard in shards if not shard.alive}
        for name in gone - self._gone_since_mono_s.keys():
            self._gone_since_mono_s[name] = now_mono_s
            log.warning("shard is gone", shard=name, sessions_move_in_s=self._grace_s)
        for name in self._gone_since_mono_s.keys() - gone:
            log.info("shard is back", shard=name, after_s=round(now_mono_s - self._gone_since_mono_s.pop(name), 1))
        return frozenset(self._gone_since_mono_s) - self._gone_for(self._grace_s)

    def _gone_for(self, seconds: float) -> frozenset[str]:
        now_mono_s = mono_s()
        return frozenset(name for name, since in self._gone_since_mono_s.items() if now_mono_s - since >= seconds)

    async def apply(self, steps: Steps) -> None:
        """Do the steps one after another."""
        for move in steps.moves:
            await self._unless_gone(self._placer.apply, move)
        for move in steps.missing:
            await self._unless_gone(self._placer.apply, move)
        # A member that no record asks for may be a placement that is being made just now: only one that stays goes.
        for shard, session_id in sorted(steps.extra & self._extra_before):
            await self._registry.records.unplace(shard, [session_id])
        self._extra_before = steps.extra
        for shard in steps.forget:
            await self._registry.shards.remove(shard)
            self._gone_since_mono_s.pop(shard, None)
            log.info("shard forgotten", shard=shard, gone_for_s=_FORGET_AFTER_S)
        for record in steps.mark_stopped:
            await self._unless_gone(self._mark_stopped, record)
        for record in steps.unplace:
            await self._unless_gone(self._unplace, record)
        for record in steps.finish_delete:
            await self._unless_gone(self._finish_delete, record)

    async def _unless_gone(self, step: Callable[[_T], Awaitable[None]], what: _T) -> None:
        try:
            await step(what)
        except (SessionNotFoundError, ConflictError) as error:
            log.debug("step skipped", code=error.code)  # the next look decides anew

    async def _mark_stopped(self, record: SessionRecord) -> None:
        await self._registry.records.write_at_rest(
            record.session_id, {"status": SessionState.STOPPED, "status_at": utc_now(), "reason": None}
        )

    async def _unplace(self, record: SessionRecord) -> None:
        # A stopped session takes no room on any shard; the ring finds it a place when it is started again.
        await self._registry.records.place(record.session_id, None, record.shard)

    async def _finish_delete(self, record: SessionRecord) -> None:
        if await self._registry.leases.held([record.session_id]):
            await self._placer.wake(record.shard)
            return
        # The tombstone first: without it the archives would be found again by a session of the same id.
        known = await self._registry.leases.known_token(record.session_id) or 0
        await self._registry.tombstones.put(
            Tombstone(
                session_id=record.session_id,
                workspace_id=record.workspace_id,
                void_token=max(record.token, known),
                at=utc_now(),
            )
        )
        # The placement before the record: once the record is gone, a new session of this id may be placed.
        if record.shard is not None:
            await self._registry.records.unplace(record.shard, [record.session_id])
        await self._registry.records.forget(record.session_id)
        log.info("session deleted", session_id=record.session_id)
