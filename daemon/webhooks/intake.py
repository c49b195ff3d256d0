"""Reading what waits for one endpoint so that nothing is passed over: what was taken and never settled comes first.

Exactly one leader reads at a time, so whatever is unacknowledged and not in our memory belongs to a process that is
gone, or to an answer of Redis that never reached us.
"""

from collections.abc import Awaitable, Callable, Collection

from daemon.core.errors import UnavailableError
from daemon.registry.outbox import Outbox, Waiting

_BATCH = 100


class Intake:
    """The reading side of one endpoint's group. `join` makes the groups that are missing."""

    def __init__(self, outbox: Outbox, endpoint: str, *, held_max: int, join: Callable[[], Awaitable[None]]) -> None:
        self._outbox = outbox
        self._endpoint = endpoint
        self._held_max = held_max
        self._join = join
        self._caught_up = False

    def look_back(self) -> None:
        """Have the next call find again what was returned and is not held: it could not be dealt with."""
        self._caught_up = False

    async def next(self, held: Collection[str], room: int, *, wait_ms: int) -> list[Waiting]:
        """Return the next events in order, none of which is in `held`; at most `room`, which is at least 1.

        Waits up to `wait_ms` for new ones.

        Raises:
            UnavailableError: what Redis may have handed out meanwhile is found again by the next call.
        """
        try:
            return await self._next(held, room, wait_ms)
        except UnavailableError:
            self._caught_up = False
            raise

    async def _next(self, held: Collection[str], room: int, wait_ms: int) -> list[Waiting]:
        if not self._caught_up:
            await self._join()
            # Those held now: one whose acknowledgement overtakes the answer below is let go before the answer is read.
            ours = frozenset(held)
            # What we hold is among the oldest unacknowledged, so asking for the maximum reaches past it.
            oldest = await self._outbox.reclaim(self._endpoint, self._held_max)
            left = [waiting for waiting in oldest if waiting.entry_id not in ours]
            if left:
                return left[:room]
            self._caught_up = True
        return await self._outbox.take(self._endpoint, min(room, _BATCH), wait_ms)
