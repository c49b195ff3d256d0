"""Doing the steps of a plan: in batches, in their order, each safe to repeat. Decides nothing."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import TypeVar

import structlog

from daemon.coordinator.placer import Placer
from daemon.coordinator.steps import Steps, placement_of
from daemon.core.clock import utc_now
from daemon.core.errors import ConflictError, SessionNotFoundError
from daemon.placement.plan import Move
from daemon.registry.placements import Placement, end_handovers, unlist_many
from daemon.registry.registry import Registry
from daemon.registry.tombstones import Tombstone
from daemon.sessions.states import SessionState
from daemon.sessions.summary import Summary

log = structlog.get_logger()

_AT_ONCE = 500
_PARALLEL = 16
_NAMED_MOVES = 100
_T = TypeVar("_T")


class Acting:
    """Does what was planned."""

    def __init__(self, registry: Registry, placer: Placer, *, at_once: int = _AT_ONCE) -> None:
        """`at_once` is how many sessions share a round trip."""
        self._registry = registry
        self._placer = placer
        self._at_once = at_once
        self._extra_before: frozenset[tuple[str, str]] = frozenset()

    async def apply(self, steps: Steps) -> None:
        """Do the steps.

        Raises:
            RedisUnavailableError: some are done; the next view shows which.
        """
        await self._free(steps)
        await self._move(steps.moves)
        await end_handovers(self._registry.link, steps.end_handovers)
        await self._tidy(steps)
        await self._each(self._mark_stopped, steps.mark_stopped)
        await self._registry.records.place_many(steps.unplace, at_once=self._at_once)
        # A few at a time: each is several round trips, and the leader has to say in between that it still leads.
        await self._each(self._finish_delete, steps.finish_delete[: self._at_once])
        await self._forget(steps.forget)
        await self._registry.drains.note(steps.drains or {})

    async def _free(self, steps: Steps) -> None:
        for freeing in steps.free:
            for start in range(0, len(freeing.session_ids), self._at_once):
                some = freeing.session_ids[start : start + self._at_once]
                freed = await self._registry.exits.free_leases(some, freeing.holder_prefix)
                if freed:
                    log.info("leases of a dead process freed", holder=freeing.holder_prefix, leases=freed)

    async def _move(self, moves: Sequence[Move]) -> None:
        placements = [placement_of(move) for move in moves]
        held = await self._registry.records.place_many(placements, at_once=self._at_once)
        _tell(moves, held)
        # Whoever gives a session up is woken as well: a handover begins with its last backup there.
        for shard in {p.to for p in held} | {p.moving_from for p in held}:
            await self._placer.wake(shard)

    async def _tidy(self, steps: Steps) -> None:
        """Make the sets of placements agree with the records."""
        listed = await self._registry.records.place_many(steps.missing, at_once=self._at_once)
        for shard in {placement.to for placement in listed}:
            await self._placer.wake(shard)
        # A member that no record asks for may be a placement that is being made just now: only one that stays goes.
        await unlist_many(self._registry.link, sorted(steps.extra & self._extra_before))
        self._extra_before = steps.extra

    async def _forget(self, shards: Iterable[str]) -> None:
        for shard in shards:
            await self._registry.shards.remove(shard)
            await self._registry.incarnations.forget(shard)
            log.info("shard forgotten, it has been gone for long and has no sessions", shard=shard)

    async def _each(self, step: Callable[[_T], Awaitable[None]], whats: Sequence[_T]) -> None:
        """Do a step for each of these, some at once. Those of sessions that changed meanwhile are left out."""
        slots = asyncio.Semaphore(_PARALLEL)

        async def one(what: _T) -> None:
            async with slots:
                try:
                    await step(what)
                except (SessionNotFoundError, ConflictError) as error:
                    log.debug("step skipped", code=error.code)  # the next look decides anew

        await asyncio.gather(*(one(what) for what in whats))

    async def _mark_stopped(self, session: Summary) -> None:
        await self._registry.records.write_at_rest(
            session.session_id, {"status": SessionState.STOPPED, "status_at": utc_now(), "reason": None}
        )

    async def _finish_delete(self, session: Summary) -> None:
        if await self._registry.leases.held([session.session_id]):
            await self._placer.wake(session.shard)
            return
        # The tombstone first: without it the archives would be found again by a session of the same id. Its token is of
        # a moment at which the session was to be deleted: a leader that stood still since voids no newer login.
        doomed = await self._registry.records.doomed_token(session.session_id)
        await self._registry.tombstones.put(
            Tombstone(
                session_id=session.session_id,
                workspace_id=session.workspace_id,
                void_token=doomed,
                at=utc_now(),
            )
        )
        # The placement before the record: once the record is gone, a new session of this id may be placed.
        if session.shard is not None:
            await self._registry.records.unplace(session.shard, [session.session_id])
        await self._registry.records.forget(session.session_id)
        log.info("session deleted", session_id=session.session_id)


def _tell(moves: Sequence[Move], held: Sequence[Placement]) -> None:
    placed = {placement.session_id for placement in held}
    made = [move for move in moves if move.session_id in placed]
    if len(made) <= _NAMED_MOVES:
        for move in made:
            log.info("session placed", session_id=move.session_id, shard=move.to, before=move.before, why=move.why)
        return
    counts = Counter((move.why, move.before, move.to) for move in made)
    for (why, before, to), sessions in sorted(counts.items(), key=str):
        log.info("sessions placed", sessions=sessions, shard=to, before=before, why=why)
