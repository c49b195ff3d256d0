"""Reading the event stream so that nothing is passed over: what was taken and never acknowledged comes first.

Exactly one dispatcher runs at a time, so whatever is unacknowledged and not in our memory belongs to a process that
is gone, or to an answer of Redis that never reached us.
"""

from collections.abc import Collection

from daemon.core.errors import UnavailableError
from daemon.sessions.events import Event
from daemon.webhooks.ports import Stream

_BATCH = 100
_BLOCK_MS = 500


class Intake:
    """The reading side of the stream."""

    def __init__(self, stream: Stream, consumer: str, *, held_max: int) -> None:
        self._stream = stream
        self._consumer = consumer
        self._held_max = held_max
        self._caught_up = False

    async def next(self, held: Collection[str]) -> list[tuple[str, Event]]:
        """Return the next entries in order, none of which is in `held`; at most as many as there is room for.

        Waits up to half a second for new ones. `held` must be smaller than the maximum.

        Raises:
            UnavailableError: what Redis may have handed out meanwhile is found again by the next call.
        """
        try:
            return await self._next(held)
        except UnavailableError:
            self._caught_up = False
            raise

    async def _next(self, held: Collection[str]) -> list[tuple[str, Event]]:
        room = self._held_max - len(held)
        if not self._caught_up:
            await self._stream.join()
            # What we hold is among the oldest unacknowledged, so asking for the maximum reaches past it.
            oldest = await self._stream.reclaim(self._consumer, 0, self._held_max)
            left = [(entry_id, event) for entry_id, event in oldest if entry_id not in held]
            if left:
                return left[:room]
            self._caught_up = True
        return await self._stream.take(self._consumer, min(room, _BATCH), _BLOCK_MS)
