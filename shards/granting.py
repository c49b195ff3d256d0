"""Taking a lease, with what Redis wants to know first of a session whose past it may have lost."""

from collections.abc import Awaitable, Callable

from daemon.core.clock import boot_s
from daemon.core.errors import TokenUnprovenError
from daemon.registry.leases import Lease, Leases


async def take_lease(
    leases: Leases,
    session_id: str,
    holder: str,
    *,
    highest_stored: Callable[[], Awaitable[int]],
    dead_prefix: str = "",
) -> tuple[Lease, float]:
    """Take the lease; return it with the time (`boot_s`) before it was asked for, from which its life counts.

    `highest_stored` gives the highest token that any copy outside Redis has; it is asked only if Redis cannot say.

    Raises:
        LeaseHeldError: another holder has it.
        RedisLostDataError: Redis may have forgotten a holder; look again after one TTL.
        UnavailableError: a store does not answer: nobody knows.
    """
    asked_boot_s = boot_s()
    try:
        return await leases.acquire(session_id, holder, dead_prefix=dead_prefix), asked_boot_s
    except TokenUnprovenError:
        floor = await highest_stored()
    asked_boot_s = boot_s()
    return await leases.acquire(session_id, holder, floor=floor, dead_prefix=dead_prefix), asked_boot_s
