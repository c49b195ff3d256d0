"""The lease keeper: renews the leases of all sessions of this shard in one round trip, and fences what it cannot.

The holder's deadline is its clock (boot time, which goes on while the host sleeps), read *before* the call that
renewed, plus TTL, minus a margin. Past it the session is ended without asking, because from then on another shard may
run it.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace

import structlog

from daemon.core.clock import boot_s, mono_s
from daemon.core.errors import RedisUnavailableError
from daemon.core.loops import cancel_all, sleep_or_stop
from daemon.registry.leases import Lease, Leases, Renewal

log = structlog.get_logger()

_WATCH_INTERVAL_S = 0.25


@dataclass(frozen=True, kw_only=True)
class _Held:
    lease: Lease
    deadline_boot_s: float
    fence: Callable[[str], None]
    on_regained: Callable[[], None] | None


class LeaseKeeper:
    """All leases that this process holds."""

    def __init__(self, leases: Leases, *, renew_interval_s: float, margin_s: float) -> None:
        self._leases = leases
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
        self._held[lease.session_id] = _Held(
            lease=lease, deadline_boot_s=asked_boot_s + self._life_s, fence=fence, on_regained=on_regained
        )

    def valid(self, lease: Lease) -> bool:
        """Whether the lease is ours at this moment, by the clock and not by what somebody noticed."""
        item = self._held.get(lease.session_id)
        return item is not None and item.lease == lease and boot_s() < item.deadline_boot_s

    async def release(self, lease: Lease) -> None:
        """Give a lease back once its session has ended; one that cannot be given back runs out by itself."""
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
        try:
            while not await sleep_or_stop(_WATCH_INTERVAL_S, stop):
                if mono_s() >= next_renewal_mono_s and (renewing is None or renewing.done()):
                    next_renewal_mono_s = mono_s() + self._renew_interval_s
                    # Not awaited: a Redis that hangs must not keep this loop from the deadlines.
                    renewing = asyncio.create_task(self._renew())
                self._fence_overdue()
        finally:
            if renewing is not None:
                await cancel_all([renewing])

    async def _renew(self) -> None:
        asked_boot_s = boot_s()
        held = list(self._held.values())
        try:
            answers = await self._leases.renew([item.lease for item in held])
            for item, answer in zip(held, answers, strict=True):
                ours = answer is not Renewal.LOST
                if self._held.get(item.lease.session_id) is not item:
                    if ours:
                        # Given back while we asked: the renewal may have taken it again.
                        await self._leases.release(item.lease)
                elif ours:
                    self._held[item.lease.session_id] = replace(item, deadline_boot_s=asked_boot_s + self._life_s)
                    if answer is Renewal.REGAINED:
                        log.warning("lease regained: Redis had lost it", session_id=item.lease.session_id)
                        if item.on_regained is not None:
                            item.on_regained()
                else:
                    self._fence(item, "the lease belongs to somebody else now")
        except RedisUnavailableError as error:
            log.warning("leases not renewed", sessions=len(held), code=error.code)

    def _fence_overdue(self) -> None:
        now_boot_s = boot_s()
        for item in list(self._held.values()):
            if now_boot_s >= item.deadline_boot_s:
                self._fence(item, "the lease could not be renewed in time")

    def _fence(self, item: _Held, reason: str) -> None:
        del self._held[item.lease.session_id]
        log.error("session fenced", session_id=item.lease.session_id, token=item.lease.token, reason=reason)
        item.fence(reason)
