"""The reconcile loop: look at everything once, plan, then act in steps that are safe to repeat.

It is level-triggered: whatever message was lost, whatever coordinator died half-way, the next look repairs it. The
shards are looked at in each cycle; all sessions only if something changed, was asked for, or is under way, and now and
then whatever happened.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence

import structlog

from daemon.coordinator.acting import Acting
from daemon.coordinator.leader import Leadership
from daemon.coordinator.placer import Placer
from daemon.coordinator.seeing import see_shards
from daemon.coordinator.standing import Stands, stands_of, with_unknown
from daemon.coordinator.steps import Steps, View, plan_steps
from daemon.core.clock import mono_s, utc_now
from daemon.core.settings import Settings
from daemon.registry.incarnations import incarnation_of
from daemon.registry.registry import Registry
from daemon.registry.seen import SeenShard
from daemon.sessions.summary import Summary

log = structlog.get_logger()


class Reconciler:
    """The loop's state: since when each shard has been gone, and what the last look saw."""

    def __init__(
        self,
        registry: Registry,
        leadership: Leadership,
        settings: Settings,
        *,
        seen: Callable[[Sequence[Summary]], None] | None = None,
    ) -> None:
        """`seen` is told the sessions of each look; it must not take long."""
        self._registry = registry
        self._leadership = leadership
        self._acting = Acting(registry, Placer(registry))
        self._settings = settings.coordinator
        self._grace_s = settings.shard.grace_ms / 1000
        self._seen = seen
        self.wake = asyncio.Event()
        """Set to begin the next cycle now."""
        self._forget()

    def _forget(self) -> None:
        """Begin anew: what this process remembers is no longer true once another coordinator has led."""
        self._gone_since_mono_s: dict[str, float] = {}
        self._unknown_since_mono_s: dict[str, float] = {}
        self._last_stands: Stands | None = None
        self._full_due_mono_s = 0.0

    def hurry(self) -> None:
        """Have all sessions looked at now."""
        self._full_due_mono_s = 0.0
        self.wake.set()

    async def cycle(self) -> None:
        """Look and act once, if this coordinator leads.

        Raises:
            RedisUnavailableError: some steps may be done; the next cycle goes on.
        """
        if not await self._leadership.keep():
            self._forget()
            return
        stands = await self._look_at_shards()
        if stands == self._last_stands and mono_s() < self._full_due_mono_s:
            return
        # What is asked for from here on is for the next look; if this one fails, the next one is a full one as well.
        self._last_stands, self._full_due_mono_s = None, mono_s() + self._settings.reconcile_full_ms / 1000
        view = await self._look(stands)
        steps = plan_steps(view)
        await self._acting.apply(steps)
        if not steps.pressing and not view.under_way and not _drains_go_on(steps):
            self._last_stands = stands

    async def _look_at_shards(self) -> Stands:
        shards = await see_shards(self._registry)
        fresh = [s.heartbeat for s in shards if s.heartbeat is not None and s.last != incarnation_of(s.heartbeat)]
        await self._registry.incarnations.note(fresh)
        return stands_of(shards, self._note_gone(shards), grace_s=self._grace_s, now=utc_now())

    async def _look(self, stands: Stands) -> View:
        """Return one immutable view."""
        # The sets first: a session that is placed between the two reads is then listed once more, which does nothing.
        alive = [name for name, stand in stands.shards.items() if stand.alive]
        placed = await self._registry.records.placed_sets(alive)
        sessions = await self._registry.records.summaries()
        if self._seen is not None:
            self._seen(sessions)
        return View(
            sessions=sessions,
            stands=with_unknown(stands, self._note_unknown(sessions, stands), grace_s=self._grace_s),
            placed=placed,
            parallel=self._settings.drain_parallel,
            rebalance=self._settings.rebalance == "on",
        )

    def _note_unknown(self, sessions: Sequence[Summary], stands: Stands) -> Mapping[str, float]:
        """Return for how many seconds shards that sessions name have not been known: Redis may have lost them.

        One that lives beats again within a second, and must not lose its sessions meanwhile.
        """
        now_mono_s = mono_s()
        unknown = {session.shard for session in sessions if session.shard} - stands.shards.keys()
        for name in sorted(unknown - self._unknown_since_mono_s.keys()):
            log.warning(
                "sessions are placed on a shard that is not known", shard=name, sessions_move_in_s=self._grace_s
            )
        self._unknown_since_mono_s = {name: self._unknown_since_mono_s.get(name, now_mono_s) for name in unknown}
        return {name: now_mono_s - since for name, since in self._unknown_since_mono_s.items()}

    def _note_gone(self, shards: Sequence[SeenShard]) -> Mapping[str, float]:
        """Return for how many seconds each shard that does not live has been gone, by this process's clock."""
        now_mono_s = mono_s()
        gone = {shard.name: shard for shard in shards if not shard.alive}
        for name in gone.keys() - self._gone_since_mono_s.keys():
            self._gone_since_mono_s[name] = now_mono_s
            _tell_gone(gone[name], self._grace_s)
        for name in self._gone_since_mono_s.keys() - gone.keys():
            log.info("shard is back", shard=name, after_s=round(now_mono_s - self._gone_since_mono_s.pop(name), 1))
        return {name: now_mono_s - since for name, since in self._gone_since_mono_s.items()}


def _drains_go_on(steps: Steps) -> bool:
    counts = [drain.count for drain in (steps.drains or {}).values()]
    return any(count and count.left and count.blocked_reason is None for count in counts)


def _tell_gone(shard: SeenShard, grace_s: float) -> None:
    if shard.exit is None or not shard.ended:
        log.warning("shard is silent", shard=shard.name, sessions_move_in_s=grace_s)
    elif shard.crashed:
        log.error("shard crashed, its sessions move now", shard=shard.name, how=shard.exit.code_text)
    else:
        log.warning("shard was stopped", shard=shard.name, how=shard.exit.code_text, sessions_move_in_s=grace_s)
