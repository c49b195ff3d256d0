"""Delivery to a receiver that is slow, fails, hangs, resets: nothing lost, order kept, memory bounded."""

import asyncio
import time

from aiohttp import web
from structlog.testing import capture_logs

from daemon.registry.dead_letters import DeadLetters
from daemon.registry.link import RedisLink
from daemon.registry.outbox import Outbox
from daemon.webhooks.endpoint import PARALLEL_POSTS
from daemon.webhooks.signature import verify
from tests.integration.webhooks.conftest import SECRET, Publish, Start
from tests.integration.webhooks.receiver import Delivery, Receiver, accept, until


async def _empty(outbox: Outbox, limit_s: float = 10.0) -> None:
    async with asyncio.timeout(limit_s):
        while not (counts := (await outbox.counts()).endpoints) or any(one.waiting for one in counts.values()):
            await asyncio.sleep(0.005)


async def test_events_arrive_in_order_signed_and_leave_the_stream(
    outbox: Outbox, receiver: Receiver, publish: Publish, start: Start
) -> None:
    events = [await publish(f"s{n % 3}", n) for n in range(30)]
    async with start():
        await until(lambda: len(receiver.taken) == 30, "all delivered")
        await _empty(outbox)
    for session in range(3):
        assert receiver.numbers(f"s{session}") == list(range(session, 30, 3))
    got = next(delivery for delivery in receiver.taken if delivery.number == 0)
    assert got.headers["X-Webhook-Id"] == got.body["id"] == events[0].event_id
    assert got.headers["X-Webhook-Event"] == got.body["event"] == "message"
    timestamp, signature = got.headers["X-Webhook-Timestamp"], got.headers["X-Webhook-Signature"]
    assert verify(SECRET, timestamp, got.raw, signature, now=time.time())
    assert not verify("a-forgers-guess-of-a-secret", timestamp, got.raw, signature, now=time.time())
    assert not verify(SECRET, timestamp, got.raw.replace(b'"n":0', b'"n":9'), signature, now=time.time())


async def test_a_refused_event_is_tried_again_in_its_place_with_the_same_id(
    receiver: Receiver, publish: Publish, start: Start
) -> None:
    async def refuse_one_twice(_request: web.Request, delivery: Delivery) -> web.StreamResponse:
        tries = sum(one.number == 1 for one in receiver.tries)
        return web.Response(status=500 if delivery.number == 1 and tries < 3 else 204)

    receiver.behave = refuse_one_twice
    for n in range(4):
        await publish("s", n)
    async with start():
        await until(lambda: len(receiver.taken) == 4, "all delivered")
    assert [delivery.number for delivery in receiver.tries] == [0, 1, 1, 1, 2, 3]
    assert len({one.headers["X-Webhook-Id"] for one in receiver.tries if one.number == 1}) == 1
    assert len({one.raw for one in receiver.tries if one.number == 1}) == 1


async def test_a_session_that_is_refused_does_not_hold_up_others(
    receiver: Receiver, publish: Publish, start: Start
) -> None:
    async def refuse_bad(_request: web.Request, delivery: Delivery) -> web.StreamResponse:
        return web.Response(status=500 if delivery.session_id == "bad" else 200)

    receiver.behave = refuse_bad
    for n in range(20):
        await publish("bad", n)
        await publish("good", n)
    async with start():
        await until(lambda: len(receiver.numbers("good")) == 20, "the good session's events")
        assert {one.number for one in receiver.tries if one.session_id == "bad"} == {0}
        receiver.behave = accept
        await until(lambda: len(receiver.numbers("bad")) == 20, "the bad session's events")
    assert receiver.numbers("good") == receiver.numbers("bad") == list(range(20))


async def test_a_slow_receiver_gets_a_bounded_number_of_posts_at_once(
    receiver: Receiver, publish: Publish, start: Start
) -> None:
    gate = asyncio.Event()

    async def wait(_request: web.Request, _delivery: Delivery) -> web.StreamResponse:
        await gate.wait()
        return web.Response()

    receiver.behave = wait
    for n in range(40):
        await publish(f"s{n}", n)
    async with start():
        await until(lambda: receiver.open_now == PARALLEL_POSTS, "all posts that are allowed")
        gate.set()
        await until(lambda: len(receiver.taken) == 40, "all delivered")
    assert receiver.open_most == PARALLEL_POSTS


async def test_resets_hangs_and_redirects_are_failures_that_pass(
    receiver: Receiver, publish: Publish, start: Start
) -> None:
    queries: list[str] = []

    async def misbehave(request: web.Request, _delivery: Delivery) -> web.StreamResponse:
        queries.append(request.query_string)
        match len(receiver.tries):
            case 1:
                assert request.transport is not None
                request.transport.abort()
            case 2:
                await asyncio.sleep(5)
            case 3:
                return web.Response(status=307, headers={"Location": f"{receiver.url}?elsewhere"})
        return web.Response()

    receiver.behave = misbehave
    await publish("s", 1)
    async with start(WEBHOOK_TIMEOUT_MS=150):
        await until(lambda: len(receiver.tries) == 4, "the fourth try")
        await until(lambda: receiver.numbers("s")[-1:] == [1], "delivered")
    assert queries == ["", "", "", ""]


async def test_an_answer_that_never_ends_counts_by_its_status(
    outbox: Outbox, receiver: Receiver, publish: Publish, start: Start
) -> None:
    async def pour(request: web.Request, _delivery: Delivery) -> web.StreamResponse:
        answer = web.StreamResponse()
        await answer.prepare(request)
        while True:
            await answer.write(b"x" * 10_000)

    receiver.behave = pour
    await publish("s", 1)
    async with start():
        await _empty(outbox)
    assert len(receiver.tries) == 1


async def test_an_event_refused_for_too_long_goes_to_the_dead_letters_and_the_next_follows(
    letters: DeadLetters, outbox: Outbox, receiver: Receiver, publish: Publish, start: Start
) -> None:
    async def refuse_one(_request: web.Request, delivery: Delivery) -> web.StreamResponse:
        return web.Response(status=500 if delivery.number == 1 else 200)

    receiver.behave = refuse_one
    async with start(WEBHOOK_RETRY_FOR_MS=3000):
        for n in range(1, 3):
            await publish("s", n)
        await until(lambda: receiver.numbers("s") == [2], "the event after it")
        await _empty(outbox)
    [letter] = (await letters.page()).letters
    assert "HTTP 500" in letter.reason
    assert (letter.endpoint, letter.event["data"]) == ("laravel", {"n": 1})
    assert letter.tries == sum(one.number == 1 for one in receiver.tries) > 2
    assert 1 <= (letter.buried_at - letter.told_at).total_seconds() < 30


async def test_an_event_that_is_old_already_is_tried_once(
    letters: DeadLetters, outbox: Outbox, receiver: Receiver, publish: Publish, start: Start
) -> None:
    async def refuse(_request: web.Request, _delivery: Delivery) -> web.StreamResponse:
        return web.Response(status=500)

    receiver.behave = refuse
    await publish("s", 1)
    async with start(WEBHOOK_RETRY_FOR_MS=1):
        await until(lambda: len(receiver.tries) == 1, "a try")
        await _empty(outbox)
    assert [letter.tries for letter in (await letters.page()).letters] == [1]


async def test_memory_is_bounded_while_the_receiver_is_dead(
    outbox: Outbox, receiver: Receiver, publish: Publish, start: Start
) -> None:
    for n in range(60):
        await publish(f"s{n % 6}", n)
    most = 0
    # Nobody listens: whatever is told cannot be the fault of an event.
    async with start(url="http://127.0.0.1:9/hook", held_max=10) as running:
        for _ in range(100):
            most = max(most, running.dispatcher.held())
            await asyncio.sleep(0.01)
        counts = (await outbox.counts()).endpoints["laravel"]
        assert (counts.waiting, counts.parked_sessions) == (60, 0)
        async with asyncio.timeout(30):
            while most < 10 or not (await outbox.said()).get("laravel", {}).get("failing"):
                most = max(most, running.dispatcher.held())
                await asyncio.sleep(0.01)
        assert most == 10
    async with start(held_max=10):
        await until(lambda: len(receiver.taken) == 60, "all delivered")
        await _empty(outbox)
    for session in range(6):
        assert receiver.numbers(f"s{session}") == list(range(session, 60, 6))


async def test_what_another_process_left_is_delivered_first_and_in_order(
    outbox: Outbox, receiver: Receiver, publish: Publish, start: Start
) -> None:
    for n in range(6):
        await publish("s", n)
    await outbox.join(["laravel"])
    assert len(await outbox.take("laravel", 4, 100)) == 4
    async with start(held_max=3):
        await until(lambda: len(receiver.taken) == 6, "all delivered")
        await _empty(outbox)
    assert receiver.numbers("s") == list(range(6))


async def test_a_stop_lets_posts_in_flight_end_and_leaves_the_rest(
    outbox: Outbox, receiver: Receiver, publish: Publish, start: Start
) -> None:
    gate = asyncio.Event()

    async def wait(_request: web.Request, _delivery: Delivery) -> web.StreamResponse:
        await gate.wait()
        return web.Response()

    receiver.behave = wait
    for n in range(5):
        await publish("s", n)
    async with start() as running:
        await until(lambda: receiver.open_now == 1, "a post in flight")
        running.stop.set()
        asyncio.get_running_loop().call_later(0.1, gate.set)
        await running.end()
        assert receiver.numbers("s") == [0]
    assert (await outbox.counts()).endpoints["laravel"].waiting == 4
    async with start():
        await until(lambda: len(receiver.taken) == 5, "the rest")
    assert receiver.numbers("s") == list(range(5))


async def test_a_stop_does_not_wait_for_retries(receiver: Receiver, publish: Publish, start: Start) -> None:
    async def refuse(_request: web.Request, _delivery: Delivery) -> web.StreamResponse:
        return web.Response(status=500)

    receiver.behave = refuse
    await publish("s", 1)
    async with start() as running:
        await until(lambda: len(receiver.tries) > 1, "a retry")
        began = time.monotonic()
        await running.end()
        assert time.monotonic() - began < 8


async def test_without_an_endpoint_nothing_grows(outbox: Outbox, publish: Publish, start: Start) -> None:
    for n in range(30):
        await publish("s", n)
    async with start(LARAVEL_WEBHOOK=None, EVENT_LOG_MAX=10):
        async with asyncio.timeout(30):
            while (counts := await outbox.counts()).events > 10:
                await asyncio.sleep(0.005)
    assert counts.endpoints == {}


async def test_the_log_tells_failing_and_working_once_each(receiver: Receiver, publish: Publish, start: Start) -> None:
    async def refuse(_request: web.Request, _delivery: Delivery) -> web.StreamResponse:
        return web.Response(status=500)

    receiver.behave = refuse
    with capture_logs() as lines:
        await publish("s", 1)
        async with start():
            await until(lambda: len(receiver.tries) > 6, "several tries")
            receiver.behave = accept
            await until(lambda: bool(receiver.taken), "delivered")
    told = [line["event"] for line in lines if "receiver" in line["event"]]
    assert told == ["webhook receiver fails", "webhook receiver works again"]
    assert SECRET not in str(lines)


async def test_events_survive_a_redis_that_drops_its_connections(
    link: RedisLink, outbox: Outbox, receiver: Receiver, publish: Publish, start: Start
) -> None:
    async with start():
        for n in range(30):
            await publish("s", n)
            if n % 10 == 5:
                await link.text.client_kill_filter(_type="normal", skipme=True)
        await until(lambda: set(receiver.numbers("s")) == set(range(30)), "all delivered")
        await _empty(outbox)
    firsts = list(dict.fromkeys(receiver.numbers("s")))
    assert firsts == list(range(30))


async def test_a_stream_whose_group_vanished_is_joined_again(
    link: RedisLink, receiver: Receiver, publish: Publish, start: Start
) -> None:
    async with start():
        await publish("s", 1)
        await until(lambda: len(receiver.taken) == 1, "the first")
        await link.text.flushdb()
        await publish("s", 2)
        await until(lambda: receiver.numbers("s") == [1, 2], "the one after the loss")
