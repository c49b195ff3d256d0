"""A master of Redis dies while events are delivered: what its replica had arrives in order, as does what follows."""

import asyncio

from pydantic import SecretStr

from daemon.core.clock import utc_now
from daemon.core.errors import RedisUnavailableError
from daemon.core.ids import new_id
from daemon.core.sections import RedisSettings, WebhookSettings
from daemon.registry.events import EventStream
from daemon.registry.link import RedisLink
from daemon.registry.outbox import Outbox
from daemon.registry.parked import Parked
from daemon.sessions.events import Event, EventKind
from daemon.webhooks.configured import Configured
from daemon.webhooks.dispatcher import WebhookDispatcher
from tests.integration.webhooks.conftest import QUICK, SECRET
from tests.integration.webhooks.receiver import Receiver, until
from tests.integration.webhooks.test_fairness import after, nothing_waits
from tests.servers.redis_sentinel import redis_sentinel

SESSIONS = 3
BEFORE, AFTER = 90, 30
FAILS_OVER_S = 25.0


def _event(n: int) -> Event:
    return Event(
        event_id=new_id("evt"),
        kind=EventKind.MESSAGE,
        session_id=f"s{n % SESSIONS}",
        workspace_id="7",
        user_id="12",
        at=utc_now(),
        data={"n": n},
    )


async def _published(stream: EventStream, event: Event) -> None:
    async with asyncio.timeout(FAILS_OVER_S):
        while True:
            try:
                await stream.publish(event)
                return
            except RedisUnavailableError:
                await asyncio.sleep(0.05)


async def test_events_arrive_across_the_death_of_a_master(receiver: Receiver) -> None:
    receiver.behave = after(0.02)
    values = {"LARAVEL_WEBHOOK": receiver.url, "LARAVEL_WEBHOOK_SECRET": SECRET}
    settings = WebhookSettings.model_validate(values)
    stop = asyncio.Event()
    with redis_sentinel() as watched:
        async with RedisLink(RedisSettings(REDIS_URL=SecretStr(watched.url), REDIS_TIMEOUT_MS=1000)) as link:
            stream, outbox = EventStream(link), Outbox(link)
            dispatcher = WebhookDispatcher(
                outbox, Parked(link, outbox), settings, Configured(settings), schedule=QUICK, look_s=0.05
            )
            delivering = asyncio.create_task(dispatcher.run(stop))
            for n in range(BEFORE):
                await _published(stream, _event(n))
            # Replication is asynchronous: only what the replica has can outlive the master.
            assert await link.text.wait(1, 5000) == 1
            await until(lambda: len(receiver.taken) > BEFORE // 3, "some are delivered")
            watched.kill(watched.master())
            for n in range(BEFORE, BEFORE + AFTER):
                await _published(stream, _event(n))
            await until(lambda: len({one.number for one in receiver.taken}) == BEFORE + AFTER, "all are delivered")
            await nothing_waits(outbox)
            stop.set()
            await asyncio.wait_for(delivering, 15)
    for session in range(SESSIONS):
        firsts = list(dict.fromkeys(receiver.numbers(f"s{session}")))
        assert firsts == list(range(session, BEFORE + AFTER, SESSIONS))
