"""Real coordinator processes deliver; each leader in turn is killed in the middle, the last one only frozen."""

import asyncio
import signal
from collections import Counter
from pathlib import Path

from aiohttp import web

from daemon.registry import keys
from daemon.registry.link import RedisLink
from tests.integration.coordinator.coordinators import Coordinators
from tests.integration.house.house import until
from tests.integration.webhooks.conftest import SECRET, Publish
from tests.integration.webhooks.receiver import Delivery, Receiver
from tests.integration.webhooks.test_fairness import after

SESSIONS = 4
EVENTS = 240
KILLS = 2
MORE = 80


async def test_leaders_killed_in_the_middle_lose_nothing_keep_the_order_and_send_the_same_ids(
    redis_url: str, tmp_path: Path, link: RedisLink, receiver: Receiver, publish: Publish
) -> None:
    async def slow(_request: web.Request, _delivery: Delivery) -> web.StreamResponse:
        await asyncio.sleep(0.02)
        return web.Response()

    receiver.behave = slow
    published = [await publish(f"s{n % SESSIONS}", n) for n in range(EVENTS)]
    total = EVENTS + MORE
    settings = {"LARAVEL_WEBHOOK": receiver.url, "LARAVEL_WEBHOOK_SECRET": SECRET}
    async with Coordinators(tmp_path, redis_url, **settings) as coordinators:
        _, client = await coordinators.start()
        await coordinators.listening(client)
        for kill in range(KILLS):
            await until("events arrive", lambda kill=kill: _arrived(receiver, (kill + 1) * EVENTS // (KILLS + 2)))
            _, client = await coordinators.start()
            await coordinators.listening(client)
            leading = await link.text.get(keys.LEADER)
            await coordinators.kill_oldest()  # the other was no leader yet
            await until("another one leads", lambda leading=leading: _led_by_another(link, leading), timeout_s=30)
        await until("every event has arrived", lambda: _arrived(receiver, EVENTS, different=True), timeout_s=60)
        # Only what was under way at a kill, or taken and not yet acknowledged, may come twice.
        assert len(receiver.tries) <= EVENTS + 2 * KILLS * SESSIONS

        receiver.behave = after(0.1)
        published += [await publish(f"s{n % SESSIONS}", n) for n in range(EVENTS, total)]
        await until("some more arrive", lambda: _arrived(receiver, EVENTS + MORE // 4, different=True))
        leading = await link.text.get(keys.LEADER)
        frozen = coordinators.freeze_oldest()
        await coordinators.start()
        await until("another one leads", lambda: _led_by_another(link, leading), timeout_s=30)
        await until("it delivers", lambda: _arrived(receiver, EVENTS + MORE // 2, different=True))
        # It still believes that it leads, and has the same events in memory.
        frozen.send_signal(signal.SIGCONT)
        await until("every event has arrived", lambda: _arrived(receiver, total, different=True), timeout_s=60)
    for number in range(SESSIONS):
        firsts = list(dict.fromkeys(receiver.numbers(f"s{number}")))
        assert firsts == list(range(number, total, SESSIONS))
    ids = {delivery.number: {str(d.body["id"]) for d in receiver.tries if d.number == delivery.number}
           for delivery in receiver.tries}  # fmt: skip
    assert ids == {n: {event.event_id} for n, event in enumerate(published)}
    times = Counter(delivery.number for delivery in receiver.tries)
    assert max(times.values()) <= 2


async def _arrived(receiver: Receiver, count: int, *, different: bool = False) -> bool:
    return len({d.number for d in receiver.taken} if different else receiver.taken) >= count


async def _led_by_another(link: RedisLink, before: str | None) -> bool:
    now = await link.text.get(keys.LEADER)
    return now is not None and now != before
