"""The queue of one session's messages: order, pauses, and when it is full."""

import asyncio
from itertools import pairwise

import pytest

from daemon.core.clock import mono_s
from daemon.core.sections import SendSettings
from shards.runner.sending import SendQueue


def _queue(interval_ms: int, *, queue_max: int = 20, wait_max_s: float = 20.0, rand: float = 0.0) -> SendQueue:
    settings = SendSettings.model_validate({"SEND_MIN_INTERVAL_MS": interval_ms, "SEND_QUEUE_MAX": queue_max})
    return SendQueue(settings, wait_max_s=wait_max_s, rand=lambda: rand)


async def test_turns_come_in_the_order_of_asking_with_a_pause_between() -> None:
    queue, never = _queue(50), asyncio.get_running_loop().create_future()
    sent: list[tuple[int, float]] = []

    async def send(number: int) -> None:
        async with queue.turn(never) as turn:
            turn.begun = True
            sent.append((number, mono_s()))

    async with asyncio.TaskGroup() as tasks:
        for number in range(5):
            tasks.create_task(send(number))
    assert [number for number, _ in sent] == [0, 1, 2, 3, 4]
    gaps_s = [after[1] - before[1] for before, after in pairwise(sent)]
    assert min(gaps_s) >= 0.05


async def test_the_pause_that_was_drawn_is_kept() -> None:
    queue, never = _queue(100, rand=1.0), asyncio.get_running_loop().create_future()
    await _one(queue, never)
    began_mono_s = mono_s()
    await _one(queue, never)
    assert mono_s() - began_mono_s >= 0.145


def test_pauses_are_drawn_anew_between_the_interval_and_half_of_it_more() -> None:
    assert [_queue(1000, rand=rand).pause_s() for rand in (0.0, 0.5, 1.0)] == [1.0, 1.25, 1.5]
    settings = SendSettings.model_validate({"SEND_MIN_INTERVAL_MS": 1000})
    queue = SendQueue(settings, wait_max_s=20.0)
    drawn_s = [queue.pause_s() for _ in range(1000)]
    assert all(1.0 <= pause_s <= 1.5 for pause_s in drawn_s)
    quarters = [sum(1 + 0.125 * n <= pause_s < 1.125 + 0.125 * n for pause_s in drawn_s) for n in range(4)]
    assert min(quarters) > 150


async def test_what_was_not_begun_takes_no_pause() -> None:
    queue, never = _queue(60_000), asyncio.get_running_loop().create_future()
    for _ in range(3):
        async with queue.turn(never):
            pass
    await asyncio.wait_for(_one(queue, never), 5)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(_one(queue, never), 0.05)


async def test_a_send_that_fails_takes_its_pause_too() -> None:
    queue, never = _queue(60_000), asyncio.get_running_loop().create_future()
    with pytest.raises(ValueError, match="lost"):
        async with queue.turn(never) as turn:
            turn.begun = True
            raise ValueError("lost")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(_one(queue, never), 0.05)


async def test_a_full_queue_says_when_there_may_be_room() -> None:
    queue, never = _queue(0, queue_max=2), asyncio.get_running_loop().create_future()
    assert queue.full_for_s() is None
    async with queue.turn(never):
        waiting = [asyncio.create_task(_one(queue, never)) for _ in range(2)]
        await asyncio.sleep(0)
        assert queue.full_for_s() == 1.0
    await asyncio.gather(*waiting)
    assert queue.full_for_s() is None


async def test_what_could_not_be_sent_while_anybody_waits_is_refused() -> None:
    queue, never = _queue(10_000, wait_max_s=20.0), asyncio.get_running_loop().create_future()
    async with queue.turn(never) as turn:
        turn.begun = True
        assert queue.full_for_s() is None
    waiting = [asyncio.create_task(_one(queue, never)) for _ in range(2)]
    await asyncio.sleep(0)
    refused_s = queue.full_for_s()
    assert refused_s is not None
    assert 10 <= refused_s <= 20
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    assert queue.full_for_s() is None


async def test_a_stop_ends_the_pauses() -> None:
    queue, stop = _queue(60_000), asyncio.get_running_loop().create_future()
    await _one(queue, stop)
    late = [asyncio.create_task(_one(queue, stop)) for _ in range(3)]
    done, _ = await asyncio.wait(late, timeout=0.1)
    assert not done
    stop.set_result(None)
    done, _ = await asyncio.wait(late, timeout=5)
    assert done == set(late)


async def _one(queue: SendQueue, stop: "asyncio.Future[None]") -> None:
    async with queue.turn(stop) as turn:
        turn.begun = True
