"""Periodic work: one helper for every loop, with jitter, back-off and an error log that does not flood."""

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable, Collection, Coroutine
from types import TracebackType
from typing import Any, Self, TypeVar

import structlog

from daemon.core.clock import mono_s
from daemon.core.errors import BlazzError

log = structlog.get_logger()
T = TypeVar("T")

_LOG_AGAIN_S = 30.0
_MAX_BACKOFF_S = 15.0
_CANCEL_AGAIN_S = 2.0


async def run_every(
    interval_s: float,
    work: Callable[[], Awaitable[None]],
    *,
    name: str,
    stop: asyncio.Event,
    wake: asyncio.Event | None = None,
    jitter: float = 0.1,
    max_backoff_s: float = _MAX_BACKOFF_S,
) -> None:
    """Call `work` every `interval_s` seconds (times 1 ± jitter) until `stop` is set; at once when `wake` is set.

    An error of this project is logged at most every 30 seconds while it lasts, and the pause doubles up to
    `max_backoff_s`; the recovery is logged once. Any other exception is a bug and ends the loop by propagating.
    """
    failures = 0
    logged_mono_s = -_LOG_AGAIN_S
    while not stop.is_set():
        try:
            await work()
            if failures:
                log.info("loop works again", loop=name, failures=failures)
            failures = 0
        except BlazzError as error:
            failures += 1
            if mono_s() - logged_mono_s >= _LOG_AGAIN_S:
                logged_mono_s = mono_s()
                log.warning("loop fails", loop=name, code=error.code, error=str(error), failures=failures)
        pause_s = interval_s if not failures else min(max_backoff_s, interval_s * 2 ** min(failures - 1, 8))
        await _pause(max(pause_s, interval_s) * (1 + random.uniform(-jitter, jitter)), stop, wake)


async def _pause(seconds: float, stop: asyncio.Event, wake: asyncio.Event | None) -> None:
    waits = [asyncio.ensure_future(event.wait()) for event in (stop, wake) if event is not None]
    try:
        await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
        # Not awaited one by one: a cancellation of this task would look like theirs, and be lost.
        await asyncio.wait(waits)
        if wake is not None:
            wake.clear()


async def sleep_or_stop(seconds: float, stop: asyncio.Event) -> bool:
    """Sleep, or return True early when `stop` is set."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await stop.wait()
    return stop.is_set()


async def first_done(*works: Coroutine[Any, Any, T]) -> T:
    """Run several coroutines until the first one ends, cancel the others and wait for them; return its result.

    An exception of the first one is raised as it is, not in a group, because its type decides what comes next.
    """
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        # An exception says more than a result that came in the same turn.
        failed = next((task for task in done if task.exception() is not None), None)
        return (failed or next(iter(done))).result()
    finally:
        await cancel_all(tasks)


async def cancel_all(tasks: Collection[asyncio.Future[Any]]) -> None:
    """Cancel tasks and return once all of them have ended; their results and errors are dropped.

    Cancels again until they end, because a cancellation can get lost: `asyncio.wait_for` of Python 3.11, which
    libraries use as well, returns a result that came in the same turn and forgets that it was cancelled.
    """
    pending = {task for task in tasks if not task.done()}
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=_CANCEL_AGAIN_S)
    for task in tasks:
        if task.done() and not task.cancelled():
            task.exception()  # looked at, so that asyncio does not complain that nobody did


class FirmTimeout:
    """`asyncio.timeout` that cancels again until its block ends, for libraries in which a cancellation can get lost.

    A lost one would leave the block without any limit (see `cancel_all`). As with `asyncio.timeout`, the block's end
    by the limit is a TimeoutError, and a cancellation from outside stays one.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._cancels = 0

    async def __aenter__(self) -> Self:
        task = asyncio.current_task()
        assert task is not None
        self._task = task
        self._cancels_before = task.cancelling()
        self._timer = asyncio.get_running_loop().call_later(self._seconds, self._cancel)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._timer.cancel()
        if not self._cancels:
            return
        for _ in range(self._cancels):
            self._task.uncancel()
        if kind is asyncio.CancelledError and self._task.cancelling() <= self._cancels_before:
            raise TimeoutError from error

    def _cancel(self) -> None:
        self._cancels += 1
        self._task.cancel()
        self._timer = asyncio.get_running_loop().call_later(_CANCEL_AGAIN_S, self._cancel)
