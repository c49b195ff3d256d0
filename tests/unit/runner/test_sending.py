"""The queue of one session's messages: order, pauses, and when it is full."""

import asyncio
from itertools import pairwise

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
        async with queue.turn(never):
            sent.append((number, mono_s()))

    async with asyncio.TaskGroup() as tasks:
        for number in range(5):
            tasks.create_task(send(number))
    assert [number for number, _ in sent] == [0, 1, 2, 3, 4]
    gaps_s = [after[1] - before[1] for before, after in pairwise(sent)]
    assert min(gaps_s) >= 0.05


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
    async with queue.turn(never):
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
    async with queue.turn(stop):
        pass
