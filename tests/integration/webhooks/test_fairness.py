"""Many refused sessions, busy ones, slow and hanging receivers: nobody else waits, order is kept, memory is bounded."""

import asyncio
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from aiohttp import web

from daemon.registry.dead_letters import DeadLetters
from daemon.registry.outbox import Outbox
from daemon.registry.parked import Parked, Tries
from daemon.webhooks import lanes
from daemon.webhooks.dispatcher import WebhookDispatcher
from daemon.webhooks.endpoint import PARALLEL_POSTS
from daemon.webhooks.schedule import RetrySchedule
from tests.integration.webhooks.conftest import SECRET, Publish, Running, Start
from tests.integration.webhooks.receiver import Behaviour, Delivery, Receiver, accept, running_receiver, until

SCALED = RetrySchedule(first_s=0.05, cap_s=30.0)
"""The real one, twenty times as fast."""


def answering(status: int, *prefixes: str, **headers: str) -> Behaviour:
    """Answer so to the sessions with these prefixes, and take those of others."""

    async def behave(_request: web.Request, delivery: Delivery) -> web.StreamResponse:
        if delivery.session_id.startswith(prefixes):
            return web.Response(status=status, headers=headers)
        return web.Response()

    return behave


def after(pause_s: float) -> Behaviour:
    """Take everything, slowly."""

    async def behave(_request: web.Request, _delivery: Delivery) -> web.StreamResponse:
        await asyncio.sleep(pause_s)
        return web.Response()

    return behave


async def nothing_waits(outbox: Outbox) -> None:
    async with asyncio.timeout(30):
        while not (counts := (await outbox.counts()).endpoints) or any(one.waiting for one in counts.values()):
            await asyncio.sleep(0.005)


@asynccontextmanager
async def bounded(running: Running, most: int) -> AsyncIterator[None]:
    """Fail if there are ever more events in memory."""
    seen = 0

    async def watch() -> None:
        nonlocal seen
        while True:
            seen = max(seen, running.dispatcher.held())
            await asyncio.sleep(0.002)

    watching = asyncio.create_task(watch())
    try:
        yield
    finally:
        watching.cancel()
    assert 0 < seen <= most


def gate_is_down(dispatcher: WebhookDispatcher) -> bool:
    return any(running.delivery.gate.down for running in dispatcher._running.values())


def queues_worked(dispatcher: WebhookDispatcher) -> int:
    return sum(len(running.delivery.revival._workers) for running in dispatcher._running.values())


async def test_sessions_refused_for_good_delay_no_other_and_are_tried_by_the_schedule(
    receiver: Receiver, publish: Publish, start: Start
) -> None:
    receiver.behave = answering(500, "bad")
    bad, events, pause_s = 12, 160, 0.025
    for n in range(bad):
        await publish(f"bad{n}", n)
    async with start(schedule=SCALED, held_max=1000) as running:
        latest_s = 0.0
        for n in range(events):
            began = time.monotonic()
            await publish(f"good{n % 20}", n)
            await until(lambda n=n: len(receiver.taken) > n, "taken beside them", limit_s=5)  # type: ignore[misc]
            latest_s = max(latest_s, time.monotonic() - began)
            assert not gate_is_down(running.dispatcher)
            await asyncio.sleep(max(0.0, began + pause_s - time.monotonic()))
    assert latest_s < 2
    # After 0.05, 0.1, 0.2 ... s, the last pause at least as long as all before it.
    tries = [sum(one.session_id == f"bad{n}" for one in receiver.tries) for n in range(bad)]
    assert min(tries) >= 4 and max(tries) <= 9, tries


async def test_a_recovery_hurries_those_that_the_outage_parked_and_leaves_the_others_their_pause(
    outbox: Outbox, parked: Parked, receiver: Receiver, publish: Publish, start: Start
) -> None:
    receiver.behave = answering(429, "old", **{"Retry-After": "300"})
    await publish("old", 0)
    async with start():
        async with asyncio.timeout(30):
            while "old" not in await parked.which("laravel", ["old"]):
                await asyncio.sleep(0.005)
    now_ms, tries = await outbox.now_ms(), await parked.tries("laravel", "old")
    hour_ms = now_ms + 3_600_000
    await parked.postpone("laravel", "old", due_ms=hour_ms, tries=replace(tries, since_ms=now_ms - 60_000))

    receiver.behave = answering(429, "s", **{"Retry-After": "300"})
    for n in range(4):
        await publish(f"s{n}", n)
    # The outage outlives the leader that saw it begin.
    async with start(schedule=RetrySchedule(first_s=0.01, cap_s=600)) as first:
        async with asyncio.timeout(30):
            while len(await parked.which("laravel", [f"s{n}" for n in range(4)])) < 4:
                await asyncio.sleep(0.005)
        async with asyncio.timeout(30):
            while not (await outbox.said()).get("laravel", {}).get("failing"):
                await asyncio.sleep(0.005)
        await first.end()
    async with start():
        receiver.behave = accept
        await publish("good", 0)
        await until(lambda: len(receiver.taken) == 5, "the good session's, and all that the outage parked")
    assert receiver.numbers("old") == []
    assert await parked.due("laravel", hour_ms - 1, 10) == []


async def test_a_busy_session_that_is_taken_slowly_delays_no_other_and_keeps_its_order_and_speed(
    outbox: Outbox, receiver: Receiver, publish: Publish, start: Start
) -> None:
    busy, pause_s = 200, 0.01

    async def slow(_request: web.Request, delivery: Delivery) -> web.StreamResponse:
        await asyncio.sleep(pause_s if delivery.session_id == "busy" else 0)
        return web.Response()

    receiver.behave = after(pause_s)
    for n in range(busy // 4):
        await publish("alone", n)
    async with start():
        alone_s = await _each_s(receiver, "alone", busy // 4)
        await nothing_waits(outbox)
    receiver.behave = slow
    for n in range(busy):
        await publish("busy", n)
    for n in range(10):
        await publish(f"other{n % 2}", n)
    async with start() as running, bounded(running, 220):
        await until(lambda: len(receiver.numbers("other0") + receiver.numbers("other1")) == 10, "the others")
        assert len(receiver.numbers("busy")) < busy // 3
        for n in range(busy, busy + 20):
            await publish("busy", n)
        each_s = await _each_s(receiver, "busy", busy + 20)
        await nothing_waits(outbox)
    assert receiver.numbers("busy") == list(range(busy + 20))
    assert len(receiver.tries) == busy // 4 + busy + 30
    assert each_s < alone_s * 4


async def _each_s(receiver: Receiver, session_id: str, count: int) -> float:
    """Wait until so many events of a session are taken; return how long each of those still to come took."""
    began, before = time.monotonic(), len(receiver.numbers(session_id))
    await until(lambda: len(receiver.numbers(session_id)) == count, f"all of {session_id}")
    return (time.monotonic() - began) / (count - before)


@pytest.mark.parametrize("room", [0, 20, 60, 130])
async def test_a_busy_session_waits_for_room_to_be_parked_and_is_never_buried_untried(
    outbox: Outbox, letters: DeadLetters, receiver: Receiver, publish: Publish, start: Start, room: int
) -> None:
    outbox.events_max = room
    receiver.behave = after(0.003)
    for n in range(400):
        await publish("busy", n)
    await publish("other", 0)
    async with start() as running, bounded(running, 100 + 20):
        for n in range(400, 500):
            await publish("busy", n)
        await until(lambda: len(receiver.taken) >= 501, "all taken")
        await nothing_waits(outbox)
    assert receiver.numbers("busy") == list(range(500))
    assert receiver.numbers("other") == [0]
    assert (await letters.page()).letters == []


async def test_a_refused_session_that_has_used_up_the_room_loses_to_the_dead_letters_and_a_busy_one_does_not(
    outbox: Outbox,
    parked: Parked,
    letters: DeadLetters,
    receiver: Receiver,
    publish: Publish,
    start: Start,
) -> None:
    outbox.events_max = 60

    async def behave(_request: web.Request, delivery: Delivery) -> web.StreamResponse:
        await asyncio.sleep(0.003)
        return web.Response(status=500 if delivery.session_id == "bad" else 200)

    receiver.behave = behave
    for n in range(45):
        await publish("bad", n)
    async with start(schedule=SCALED) as running, bounded(running, 100 + 2 * 20):
        await until(lambda: len(receiver.tries) >= 4, "parked")
        for n in range(300):
            await publish("busy", n)
            await publish("bad", 45 + n)
        await until(lambda: len(receiver.numbers("busy")) == 300, "all of the busy one")
        receiver.behave = accept
        await parked.hurry("laravel", await outbox.now_ms())
        await nothing_waits(outbox)
    assert receiver.numbers("busy") == list(range(300))
    buried = (await letters.page(limit=500)).letters
    assert buried and {one.event["session_id"] for one in buried} == {"bad"}
    lost = {one.event["data"]["n"] for one in buried}
    assert receiver.numbers("bad") == [n for n in range(345) if n not in lost]


async def test_sessions_that_are_full_refused_and_taken_in_any_mixture_keep_their_order(
    outbox: Outbox, receiver: Receiver, publish: Publish, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lanes, "LANE_MAX", 5)
    drawn = random.Random(7)

    async def moody(_request: web.Request, _delivery: Delivery) -> web.StreamResponse:
        await asyncio.sleep(drawn.choice((0, 0, 0.01)))
        return web.Response(status=500 if drawn.random() < 0.25 else 200)

    receiver.behave = moody
    sessions, events = 6, 300
    for n in range(events // 2):
        await publish(f"s{n % sessions}", n)
    async with start(schedule=RetrySchedule(first_s=0.001, cap_s=0.01)):
        for n in range(events // 2, events):
            await publish(f"s{n % sessions}", n)
        await until(lambda: len(receiver.taken) >= events, "all taken", limit_s=60)
        await nothing_waits(outbox)
    for number in range(sessions):
        assert receiver.numbers(f"s{number}") == list(range(number, events, sessions))


async def test_more_busy_sessions_than_are_worked_at_once_take_turns(
    receiver: Receiver, publish: Publish, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lanes, "LANE_MAX", 2)
    receiver.behave = after(0.005)
    sessions, events = 20, 400
    for n in range(events):
        await publish(f"s{n % sessions}", n)
    async with start(held_max=50):
        await until(lambda: min(len(receiver.numbers(f"s{n}")) for n in range(sessions)) > 0, "a turn for each")
        assert len(receiver.taken) < events * 0.9
        await until(lambda: len(receiver.taken) == events, "all taken", limit_s=60)
    for number in range(sessions):
        assert receiver.numbers(f"s{number}") == list(range(number, events, sessions))


async def test_no_more_queues_are_worked_than_posts_are_made_when_many_refused_sessions_are_taken_again(
    outbox: Outbox, parked: Parked, receiver: Receiver, publish: Publish, start: Start
) -> None:
    sessions, each, pause_s = 60, 30, 0.02
    await outbox.join(["laravel"])
    for n in range(sessions):
        for number in range(each):
            await publish(f"s{n}", number)
        refused = Tries(count=3, since_ms=await outbox.now_ms())
        taken = await outbox.take("laravel", each, 1000)
        await parked.park("laravel", f"s{n}", taken, due_ms=refused.since_ms, tries=refused)
    receiver.behave = after(pause_s)
    workers = 0
    async with start() as running, bounded(running, PARALLEL_POSTS * 20):
        began = time.monotonic()
        while len(receiver.taken) < sessions * each:
            assert time.monotonic() < began + 60, "not all taken"
            workers = max(workers, queues_worked(running.dispatcher))
            await asyncio.sleep(0.002)
        await nothing_waits(outbox)
    assert workers == PARALLEL_POSTS
    for n in range(sessions):
        assert receiver.numbers(f"s{n}") == list(range(each))


async def test_a_slow_a_hanging_a_gone_and_a_good_endpoint_are_bounded_in_order_and_apart(
    outbox: Outbox, letters: DeadLetters, receiver: Receiver, publish: Publish, start: Start, tmp_path: Path
) -> None:
    released = asyncio.Event()

    async def hang(_request: web.Request, _delivery: Delivery) -> web.StreamResponse:
        await released.wait()
        return web.Response()

    sessions, events, held_max = 8, 240, 60
    async with running_receiver() as slow, running_receiver() as hanging, running_receiver() as gone:
        slow.behave, hanging.behave, gone.behave = after(0.005), hang, answering(410, "s")
        file = tmp_path / "hooks.toml"
        file.touch(mode=0o600)
        file.write_text(
            "".join(
                f'[[endpoint]]\nname = "{name}"\nurl = "{one.url}"\nsecret = "{SECRET}"\n'
                for name, one in (("slow", slow), ("hanging", hanging), ("gone", gone))
            )
        )
        for n in range(events):
            await publish(f"s{n % sessions}", n)
        settings = {"WEBHOOKS_FILE": str(file), "WEBHOOK_TIMEOUT_MS": 1000}
        # Of four endpoints; the queues that are worked may hold 20 events for each of 16 posts more.
        async with start(held_max=held_max, **settings) as running, bounded(running, 4 * held_max + 4 * 16 * 20):
            for one, what in ((receiver, "good"), (slow, "slow")):
                await until(
                    lambda one=one: len({each.number for each in one.taken}) == events, f"all at the {what} one"
                )
            async with asyncio.timeout(30):
                while "gone" not in await outbox.paused():
                    await asyncio.sleep(0.005)
            assert hanging.taken == []
            released.set()
            await until(lambda: len({one.number for one in hanging.taken}) == events, "all at the other", limit_s=60)
        # What hung was answered too late, and so comes twice; on a busy machine others may, too.
        for one in (receiver, slow, hanging):
            for n in range(sessions):
                assert list(dict.fromkeys(one.numbers(f"s{n}"))) == list(range(n, events, sessions))
        buried = [one.event["data"]["n"] for one in (await letters.page(limit=500)).letters]
        for n in range(sessions):
            mine = [number for number in buried if number % sessions == n]
            assert mine == list(range(n, events, sessions))[: len(mine)]
        assert len(buried) >= 20
