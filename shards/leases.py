"""The lease keeper: renews the leases of all sessions of this shard in one round trip, and fences what it cannot.

The holder's deadline is its clock (boot time, which goes on while the host sleeps), read *before* the call that
renewed, plus TTL, minus a margin. Past it the session is ended without asking, because from then on another shard may
run it.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Protocol

import structlog

from daemon.core.clock import boot_s, mono_s
from daemon.core.errors import RedisUnavailableError
from daemon.core.loops import cancel_all, sleep_or_stop
from daemon.registry.leases import Lease, Leases, Renewal

log = structlog.get_logger()

_WATCH_INTERVAL_S = 0.25
_STALLED_S = 1.0


class Guards(Protocol):
    """Whoever ends sessions past their deadlines when this process cannot, as `shards.guard.link.Guard`."""

    def hold(self, deadlines_boot_s: Mapping[str, float]) -> None:
        """Take the deadlines of these sessions."""

    def drop(self, session_id: str) -> None:
        """Forget a session that has ended."""


@dataclass(frozen=True, kw_only=True)
class _Held:
    lease: Lease
    deadline_boot_s: float
    fence: Callable[[str], None]
    on_regained: Callable[[], None] | None


class LeaseKeeper:
    """All leases that this process holds."""

    def __init__(
        self, leases: Leases, *, renew_interval_s: float, margin_s: float, guard: Guards | None = None
    ) -> None:
        """`guard` ends a session's Chromium past its deadline even if this process does not run then."""
        self._leases = leases
        self._guard = guard
        self._renew_interval_s = renew_interval_s
        self._life_s = leases.ttl_ms / 1000 - margin_s
        self._held: dict[str, _Held] = {}

    def hold(
        self,
        lease: Lease,
        *,
        asked_boot_s: float,
        fence: Callable[[str], None],
        on_regained: Callable[[], None] | None = None,
    ) -> None:
        """Keep a lease that was asked for at `asked_boot_s`.

        `fence` is called once with the reason, from the event loop, when the lease is lost; it must kill the session's
        Chromium before it returns. `on_regained` is called when Redis had lost the lease and gave it back: what else
        it knew of the session is lost as well.
        """
        deadline_boot_s = asked_boot_s + self._life_s
        self._tell_guard({lease.session_id: deadline_boot_s})
        self._held[lease.session_id] = _Held(
            lease=lease, deadline_boot_s=deadline_boot_s, fence=fence, on_regained=on_regained
        )

    def valid(self, lease: Lease) -> bool:
        """Whether the lease is ours at this moment, by the clock and not by what somebody noticed."""
        item = self._held.get(lease.session_id)
        return item is not None and item.lease == lease and boot_s() < item.deadline_boot_s

    async def release(self, lease: Lease) -> None:
        """Give a lease back once its session has ended; one that cannot be given back runs out by itself."""
        if self._guard is not None:
            self._guard.drop(lease.session_id)
        if self._held.pop(lease.session_id, None) is None:
            return
        try:
            await self._leases.release(lease)
        except RedisUnavailableError as error:
            log.warning("lease not given back, it runs out by itself", session_id=lease.session_id, code=error.code)

    async def run(self, stop: asyncio.Event) -> None:
        """Renew and watch until `stop` is set."""
        next_renewal_mono_s = 0.0
        renewing: asyncio.Task[None] | None = None
        looked_boot_s = boot_s()
        try:
            while not await sleep_or_stop(_WATCH_INTERVAL_S, stop):
                # First what is over: a process that was stopped must not prolong what others may have by now.
                self._fence_overdue()
                looked_boot_s = _say_if_stalled(looked_boot_s)
                if mono_s() >= next_renewal_mono_s and (renewing is None or renewing.done()):
                    next_renewal_mono_s = mono_s() + self._renew_interval_s
                    # Not awaited: a Redis that hangs must not keep this loop from the deadlines.
                    renewing = asyncio.create_task(self._renew())
        finally:
            if renewing is not None:
                await cancel_all([renewing])

    async def _renew(self) -> None:
        asked_boot_s = boot_s()
        held = list(self._held.values())
        try:
            answers = await self._leases.renew([item.lease for item in held])
        except RedisUnavailableError as error:
            log.warning("leases not renewed", sessions=len(held), code=error.code)
            return
        if unknown := answers.count(Renewal.UNKNOWN):
            log.warning("leases not renewed: a master of the cluster is away", sessions=unknown, of=len(held))
        renewed: dict[str, float] = {}
        for item, answer in zip(held, answers, strict=True):
            session_id = item.lease.session_id
            if self._held.get(session_id) is not item:
                if answer not in {Renewal.LOST, Renewal.UNKNOWN}:
                    await self._release_again(item.lease)
            elif answer is Renewal.LOST:
                self._fence(item, "the lease belongs to somebody else now")
            elif answer is Renewal.UNKNOWN:
                continue
            elif boot_s() >= item.deadline_boot_s:
                # The guard has ended its Chromium by now, whatever Redis says.
                self._fence(item, "the lease was renewed too late")
                await self._release_again(item.lease)
            else:
                renewed[session_id] = asked_boot_s + self._life_s
                self._held[session_id] = replace(item, deadline_boot_s=renewed[session_id])
                self._note_regained(item, answer)
        self._tell_guard(renewed)

    async def _release_again(self, lease: Lease) -> None:
        """Give back what a renewal took although we do not run it any more."""
        try:
            await self._leases.release(lease)
        except RedisUnavailableError as error:
            log.warning("lease not given back, it runs out by itself", session_id=lease.session_id, code=error.code)

    def _note_regained(self, item: _Held, answer: Renewal) -> None:
        if answer is not Renewal.REGAINED:
            return
        log.warning("lease regained: Redis had lost it", session_id=item.lease.session_id)
        if item.on_regained is not None:
            item.on_regained()

    def _fence_overdue(self) -> None:
        now_boot_s = boot_s()
        for item in list(self._held.values()):
            if now_boot_s >= item.deadline_boot_s:
                self._fence(item, "the lease could not be renewed in time")

    def _fence(self, item: _Held, reason: str) -> None:
        """End a session. The guard goes on looking for its Chromium until the session's run is over and says so."""
        del self._held[item.lease.session_id]
        log.error("session fenced", session_id=item.lease.session_id, token=item.lease.token, reason=reason)
        item.fence(reason)

    def _tell_guard(self, deadlines_boot_s: Mapping[str, float]) -> None:
        if self._guard is not None and deadlines_boot_s:
            self._guard.hold(deadlines_boot_s)


def _say_if_stalled(looked_boot_s: float) -> float:
    """Say that this process did not run for a while; return the present time."""
    now_boot_s = boot_s()
    late_s = now_boot_s - looked_boot_s - _WATCH_INTERVAL_S
    if late_s > _STALLED_S:
        log.warning("this process did not run for a while: stopped, stalled or out of CPU", late_s=round(late_s, 1))
    return now_boot_s
