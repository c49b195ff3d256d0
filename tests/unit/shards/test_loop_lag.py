"""Loop lag is the largest delay since the last look, also while the delay goes on."""

import asyncio
import time

from shards.loop_lag import LoopLag


def stall() -> None:
    """Do what must never be done on an event loop."""
    time.sleep(0.4)


def test_the_largest_delay_since_the_last_beat_is_taken_once() -> None:
    lag = LoopLag()
    for late_s in (0.001, 0.4, 0.002):
        lag.note(late_s)
    assert lag.take_ms() == 400.0
    assert lag.take_ms() == 0.0


def test_recent_delays_are_forgotten_after_two_seconds_of_better_ones() -> None:
    lag = LoopLag()
    lag.note(0.4)
    for _ in range(19):
        lag.note(0.001)
    assert lag.recent_ms == 400.0
    lag.note(0.001)
    assert lag.recent_ms == 1.0


async def test_a_loop_that_was_blocked_shows_it() -> None:
    lag, stop = LoopLag(), asyncio.Event()
    running = asyncio.create_task(lag.run(stop))
    await asyncio.sleep(0)
    stall()
    assert lag.take_ms() >= 250.0
    stop.set()
    await running
    assert lag.recent_ms >= 250.0
