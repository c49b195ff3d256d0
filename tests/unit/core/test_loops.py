"""Loops: errors of this project back off, bugs propagate, the first of several decides."""

import asyncio
import contextlib
import time

import pytest

from daemon.core.errors import RedisUnavailableError
from daemon.core.loops import FirmTimeout, cancel_all, first_done, run_every


async def test_a_loop_survives_errors_of_this_project_and_stops_by_event() -> None:
    stop, calls = asyncio.Event(), []

    async def work() -> None:
        calls.append(1)
        if len(calls) == 3:
            stop.set()
        raise RedisUnavailableError("away")

    await asyncio.wait_for(run_every(0.001, work, name="t", stop=stop), 5)
    assert len(calls) == 3


async def test_a_bug_ends_the_loop() -> None:
    async def work() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await run_every(0.001, work, name="t", stop=asyncio.Event())


async def test_wake_ends_the_pause_at_once() -> None:
    stop, wake, calls = asyncio.Event(), asyncio.Event(), []

    async def work() -> None:
        calls.append(1)
        (stop if len(calls) == 2 else wake).set()

    await asyncio.wait_for(run_every(3600, work, name="t", stop=stop, wake=wake), 5)
    assert len(calls) == 2


@pytest.mark.parametrize("turns", range(40))
async def test_a_loop_cancelled_in_any_turn_ends_at_once(turns: int) -> None:
    async def work() -> None:
        await asyncio.sleep(0)

    loop = asyncio.create_task(run_every(0, work, name="t", stop=asyncio.Event(), wake=asyncio.Event()))
    for _ in range(turns):
        await asyncio.sleep(0)
    loop.cancel()
    await asyncio.wait([loop], timeout=1)
    ended = loop.cancelled()
    await cancel_all([loop])
    assert ended


async def test_the_first_result_wins_and_the_others_are_cancelled_before_it_returns() -> None:
    cancelled = []

    async def slow() -> str:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            cancelled.append(1)
            raise
        return "slow"

    async def quick() -> str:
        return "quick"

    assert await first_done(slow(), quick(), slow()) == "quick"
    assert len(cancelled) == 2


async def test_the_error_of_the_first_is_raised_as_it_is() -> None:
    async def fail() -> None:
        raise RedisUnavailableError("away")

    with pytest.raises(RedisUnavailableError):
        await first_done(asyncio.Event().wait(), fail())


async def test_a_task_that_loses_its_cancellation_is_cancelled_again() -> None:
    lost = []

    async def deaf() -> None:
        while True:
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                if lost:
                    raise
                lost.append(1)

    task = asyncio.create_task(deaf())
    await asyncio.sleep(0)
    await asyncio.wait_for(cancel_all([task]), 5)
    assert lost and task.cancelled()


async def _deaf_once() -> None:
    """Forget the first cancellation, as `asyncio.wait_for` may."""
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.sleep(60)
    await asyncio.sleep(60)


async def test_a_limit_holds_when_its_cancellation_got_lost() -> None:
    task = asyncio.current_task()
    assert task is not None
    begun_mono_s = time.monotonic()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(30), FirmTimeout(0.05):
            await _deaf_once()
    assert time.monotonic() - begun_mono_s < 20  # and not by the limit around it
    assert task.cancelling() == 0
    await asyncio.sleep(0)  # nothing is left to be raised


async def test_a_block_that_ends_within_its_limit_is_left_alone() -> None:
    async with FirmTimeout(0.05):
        await asyncio.sleep(0)
    await asyncio.sleep(0.1)
    with pytest.raises(ZeroDivisionError):
        async with FirmTimeout(0.05):
            raise ZeroDivisionError


async def test_a_cancellation_from_outside_is_not_taken_for_the_limit() -> None:
    async def limited() -> None:
        async with FirmTimeout(60):
            await asyncio.sleep(60)

    task = asyncio.create_task(limited())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert task.cancelled()


async def test_a_cancellation_from_outside_together_with_the_limit_stays_one() -> None:
    async def limited() -> None:
        async with FirmTimeout(0.05):
            await _deaf_once()

    task = asyncio.create_task(limited())
    await asyncio.sleep(0.2)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
