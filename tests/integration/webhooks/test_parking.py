"""One session that its receiver refuses: its events wait aside in Redis, in order, and nobody else waits for it."""

import asyncio
from dataclasses import replace

from aiohttp import web
from structlog.testing import capture_logs

from daemon.core.loops import cancel_all
from daemon.registry.dead_letters import DeadLetters
from daemon.registry.link import RedisLink
from daemon.registry.outbox import EndpointCounts, Outbox
from daemon.registry.parked import Parked
from daemon.webhooks.endpoint import PARALLEL_POSTS
from daemon.webhooks.schedule import RetrySchedule
from tests.integration.webhooks.conftest import Publish, Start
from tests.integration.webhooks.receiver import Behaviour, Delivery, Receiver, accept, until

LONG = RetrySchedule(first_s=0.01, cap_s=600)


def refuse_session(session_id: str, status: int = 500, **headers: str) -> Behaviour:
    async def behave(_request: web.Request, delivery: Delivery) -> web.StreamResponse:
        refused = delivery.session_id == session_id
        return web.Response(status=status if refused else 200, headers=headers if refused else None)

    return behave


def hang_sessions(receiver: Receiver, prefix: str) -> asyncio.Event:
    """Have the receiver answer nothing for these sessions until the returned event is set."""
    released = asyncio.Event()

    async def behave(_request: web.Request, delivery: Delivery) -> web.StreamResponse:
        if delivery.session_id.startswith(prefix):
            await released.wait()
        return web.Response()

    receiver.behave = behave
    return released


async def counts_of(outbox: Outbox) -> EndpointCounts:
    return (await outbox.counts()).endpoints.get("laravel", EndpointCounts())


async def parked_events(outbox: Outbox, count: int) -> None:
    async with asyncio.timeout(30):
        while (await counts_of(outbox)).parked_events != count:
            await asyncio.sleep(0.005)


async def test_a_thousand_events_of_a_refused_session_fill_no_memory_and_block_nobody(
    outbox: Outbox, receiver: Receiver, publish: Publish, start: Start
) -> None:
    receiver.behave = refuse_session("bad")
    for n in range(300):
        await publish("bad", n)
    for n in range(20):
        await publish("good", n)
    most = 0
    async with start(held_max=50) as running:
        while len(receiver.numbers("good")) < 20:
            most = max(most, running.dispatcher.held())
            await asyncio.sleep(0.002)
        await parked_events(outbox, 300)
        # Between its tries, every 50 ms here, nothing of it is in memory.
        await until(lambda: running.dispatcher.held() == 0, "all of the bad session is in Redis alone")
        assert most <= 50 + 20  # of the group, and of the one queue that is worked
        counts = await counts_of(outbox)
        assert (counts.waiting, counts.parked_sessions) == (300, 1)
        await publish("bad", 300)
        receiver.behave = accept
        await until(lambda: len(receiver.numbers("bad")) == 301, "the bad session's events")
        async with asyncio.timeout(30):
            while (await counts_of(outbox)).waiting:
                await asyncio.sleep(0.005)
    assert receiver.numbers("bad") == list(range(301))
    assert receiver.numbers("good") == list(range(20))


async def test_what_is_parked_stays_parked_through_a_restart_and_later_events_queue_behind_it(
    link: RedisLink, outbox: Outbox, parked: Parked, receiver: Receiver, publish: Publish, start: Start
) -> None:
    receiver.behave = refuse_session("bad")
    for n in range(5):
        await publish("bad", n)
    async with start():
        await parked_events(outbox, 5)
    # Not due for an hour: the next leader must neither try it now nor let later events pass it.
    tries = await parked.tries("laravel", "bad")
    hour_ms = await outbox.now_ms() + 3_600_000
    # Refused since long before the endpoint failed as a whole: what was parked by that is tried when it works again.
    refused = replace(tries, since_ms=tries.since_ms - 60_000)
    await parked.postpone("laravel", "bad", due_ms=hour_ms, tries=refused)
    before = len(receiver.tries)
    receiver.behave = accept
    await publish("bad", 5)
    await publish("good", 0)
    async with start():
        await until(lambda: receiver.numbers("good") == [0], "the good session's event")
        await parked_events(outbox, 6)
        assert len(receiver.tries) == before + 1
        await parked.hurry("laravel", await outbox.now_ms())
        await until(lambda: receiver.numbers("bad") == list(range(6)), "all in order")
        await publish("bad", 6)
        await until(lambda: receiver.numbers("bad") == list(range(7)), "the session is not parked any more")
    assert not [key async for key in link.text.scan_iter("*:of:*")]
    assert tries.count >= 3 and tries.since_ms > 0


async def test_two_leaders_one_killed_in_the_middle_lose_nothing_and_keep_the_order(
    outbox: Outbox, receiver: Receiver, publish: Publish, start: Start
) -> None:
    receiver.behave = refuse_session("bad")
    for n in range(40):
        await publish("bad", n)
        await publish(f"s{n % 4}", n)
    async with start(held_max=20) as first:
        await until(lambda: len(receiver.tries) > 10, "some tries")
        # As a kill -9: nothing is settled or acknowledged after this moment.
        await cancel_all([first.task])
        first.task = asyncio.create_task(asyncio.sleep(0))
    receiver.behave = accept
    async with start(held_max=20):
        async with asyncio.timeout(30):
            while (await counts_of(outbox)).waiting:
                await asyncio.sleep(0.005)
    for session_id, expected in [("bad", range(40)), *((f"s{n}", range(n, 40, 4)) for n in range(4))]:
        firsts = list(dict.fromkeys(receiver.numbers(session_id)))
        assert firsts == list(expected)


async def test_gone_is_buried_at_once_and_twenty_in_a_row_pause_the_endpoint_until_it_is_resumed(
    outbox: Outbox, letters: DeadLetters, receiver: Receiver, publish: Publish, start: Start
) -> None:
    receiver.behave = refuse_session("bad", 410)
    for n in range(30):
        await publish("bad", n)
    with capture_logs() as lines:
        async with start(held_max=10):
            async with asyncio.timeout(30):
                while "laravel" not in await outbox.paused():
                    await asyncio.sleep(0.005)
        assert [line["log_level"] for line in lines if line["event"] == "webhook endpoint paused"] == ["error"]
    page = await letters.page(limit=500)
    assert [letter.event["data"]["n"] for letter in page.letters] == list(range(20))
    assert {(letter.tries, "HTTP 410" in letter.reason) for letter in page.letters} == {(1, True)}
    tries = len(receiver.tries)
    receiver.behave = accept
    async with start():  # the pause outlives the leader
        await publish("good", 0)
        await asyncio.sleep(0.2)
        assert len(receiver.tries) == tries
        await outbox.resume("laravel")
        await until(lambda: receiver.numbers("bad") == list(range(20, 30)), "the rest")
        await until(lambda: receiver.numbers("good") == [0], "the other's")


async def test_another_address_ends_a_pause(outbox: Outbox, receiver: Receiver, publish: Publish, start: Start) -> None:
    await outbox.pause("laravel", {"reason": "410", "at": "2026-01-01T00:00:00.000Z", "url_digest": "another"})
    await publish("s", 0)
    async with start():
        await until(lambda: receiver.numbers("s") == [0], "delivered")
    assert await outbox.paused() == {}


async def test_not_found_is_tried_again_and_given_up_an_hour_after_its_first_failure(
    outbox: Outbox, parked: Parked, letters: DeadLetters, receiver: Receiver, publish: Publish, start: Start
) -> None:
    receiver.behave = refuse_session("bad", 404)
    await publish("bad", 0)
    await publish("bad", 1)
    async with start():
        await until(lambda: len(receiver.tries) > 5, "several tries")
        assert (await letters.page()).letters == []
    tries = await parked.tries("laravel", "bad")
    hour_ago = tries.since_ms - 3_600_000
    await parked.postpone("laravel", "bad", due_ms=0, tries=type(tries)(count=tries.count, since_ms=hour_ago))
    async with start():
        async with asyncio.timeout(30):
            while not (await letters.page()).letters:
                await asyncio.sleep(0.005)
        receiver.behave = accept
        await until(lambda: receiver.numbers("bad") == [1], "the next one")
    assert [letter.event["data"]["n"] for letter in (await letters.page()).letters] == [0]


async def test_retry_after_is_kept_to_and_only_the_session_waits(
    outbox: Outbox, parked: Parked, receiver: Receiver, publish: Publish, start: Start
) -> None:
    receiver.behave = refuse_session("bad", 429, **{"Retry-After": "300"})
    await publish("bad", 0)
    async with start(schedule=LONG):
        await parked_events(outbox, 1)
        await publish("good", 0)
        await until(lambda: receiver.numbers("good") == [0], "the good session's event")
        now_ms = await outbox.now_ms()
        assert await parked.due("laravel", now_ms + 250_000, 10) == []
        assert await parked.due("laravel", now_ms + 301_000, 10) == ["bad"]
    assert sum(one.session_id == "bad" for one in receiver.tries) == 1


async def test_a_receiver_that_resets_for_all_is_probed_one_at_a_time_and_then_gets_everything(
    outbox: Outbox, receiver: Receiver, publish: Publish, start: Start
) -> None:
    async def reset(request: web.Request, _delivery: Delivery) -> web.StreamResponse:
        answer = web.StreamResponse(status=500)
        await answer.prepare(request)
        assert request.transport is not None
        request.transport.abort()
        return answer

    receiver.behave = reset
    for n in range(60):
        await publish(f"s{n % 20}", n)
    async with start():
        await until(lambda: len(receiver.tries) >= 40, "tries and probes")
        receiver.open_most = 0
        tries = len(receiver.tries)
        await until(lambda: len(receiver.tries) >= tries + 5, "more probes")
        assert receiver.open_most == 1
        receiver.behave = accept
        async with asyncio.timeout(30):
            while (await counts_of(outbox)).waiting:
                await asyncio.sleep(0.005)
    for session in range(20):
        assert receiver.numbers(f"s{session}") == [session, session + 20, session + 40]


async def test_sessions_that_hang_hold_up_nobody_else(receiver: Receiver, publish: Publish, start: Start) -> None:
    released = hang_sessions(receiver, "bad")
    for n in range(3):
        await publish(f"bad{n}", n)
    # Much longer than anybody here waits: whoever had to wait for one of them would be late.
    async with start(WEBHOOK_TIMEOUT_MS=60_000):
        await until(lambda: receiver.open_now == 3, "all three hang")
        for n in range(30):
            await publish(f"good{n % 3}", n)
            await until(lambda n=n: len(receiver.taken) == n + 1, "taken beside them", limit_s=20)  # type: ignore[misc]
        assert receiver.open_now == 3
        released.set()
    assert [receiver.numbers(f"good{n}") for n in range(3)] == [list(range(n, 30, 3)) for n in range(3)]


async def test_parked_sessions_that_hang_take_no_more_than_their_part_of_the_posts(
    outbox: Outbox, receiver: Receiver, publish: Publish, start: Start
) -> None:
    async def refuse(_request: web.Request, delivery: Delivery) -> web.StreamResponse:
        return web.Response(status=500 if delivery.session_id.startswith("bad") else 200)

    receiver.behave = refuse
    parked_count = PARALLEL_POSTS + 4
    async with start():
        for n in range(parked_count):
            await publish(f"bad{n}", n)
            await publish("good", n)
        await parked_events(outbox, parked_count)
        await until(lambda: len(receiver.taken) == parked_count, "the good session's events")
    released = hang_sessions(receiver, "bad")
    receiver.open_most = 0
    async with start(WEBHOOK_TIMEOUT_MS=60_000):
        await until(lambda: receiver.open_now == 4, "some are tried again, and hang")
        for n in range(parked_count, parked_count + 10):
            await asyncio.sleep(0.05)  # as long as between two looks at what is due
            await publish("good", n)
            await until(lambda n=n: len(receiver.taken) == n + 1, "taken beside them", limit_s=20)  # type: ignore[misc]
        assert receiver.open_most == 5  # four that hang, and the good one
        released.set()
    assert receiver.numbers("good") == list(range(parked_count + 10))
