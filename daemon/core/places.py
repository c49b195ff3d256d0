"""A few places for what costs memory: bounded in all, and for each one who takes them."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from weakref import WeakValueDictionary


class Places:
    """`count` places, of which one name gets half, so that one who is stuck holds up nobody else."""

    def __init__(self, count: int, *, wait_s: float) -> None:
        """`wait_s` is how long anybody waits for a place."""
        self._all = asyncio.Semaphore(count)
        self._each = max(1, count // 2)
        self._of: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()
        self.wait_s = wait_s

    @contextlib.asynccontextmanager
    async def hold(self, name: str | None) -> AsyncIterator[None]:
        """Hold a place; None may have all of them.

        Raises:
            TimeoutError: none got free in time.
        """
        async with contextlib.AsyncExitStack() as held:
            async with asyncio.timeout(self.wait_s):
                if name is not None:
                    mine = self._of.get(name) or asyncio.Semaphore(self._each)
                    self._of[name] = mine
                    await held.enter_async_context(mine)
                await held.enter_async_context(self._all)
            yield
