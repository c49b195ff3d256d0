"""The event stream on a real Redis, a receiver on loopback, and dispatchers with a short schedule."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from daemon.core.clock import utc_now
from daemon.core.ids import new_id
from daemon.core.sections import RedisSettings, WebhookSettings
from daemon.registry.dead_letters import DeadLetters
from daemon.registry.events import EventStream
from daemon.registry.link import RedisLink
from daemon.registry.outbox import Outbox
from daemon.registry.parked import Parked
from daemon.sessions.events import Event, EventKind
from daemon.webhooks.configured import Configured
from daemon.webhooks.dispatcher import WebhookDispatcher
from daemon.webhooks.schedule import RetrySchedule
from tests.integration.webhooks.receiver import Receiver, running_receiver

SECRET = "a-webhook-secret-of-the-tests"
QUICK = RetrySchedule(first_s=0.01, cap_s=0.05)

Publish = Callable[..., Awaitable[Event]]


@dataclass
class Running:
    """A dispatcher that runs, and its stop."""

    dispatcher: WebhookDispatcher
    stop: asyncio.Event
    task: asyncio.Task[None]

    async def end(self) -> None:
        """Stop it and wait until it has ended."""
        self.stop.set()
        await asyncio.wait_for(self.task, 10)


Start = Callable[..., AbstractAsyncContextManager[Running]]


@pytest.fixture
async def link(redis_url: str) -> AsyncIterator[RedisLink]:
    """A connection to an empty Redis."""
    async with RedisLink(RedisSettings.model_validate({"REDIS_URL": redis_url})) as opened:
        await opened.text.flushdb()
        yield opened


@pytest.fixture
def stream(link: RedisLink) -> EventStream:
    """The event stream."""
    return EventStream(link)


@pytest.fixture
def outbox(link: RedisLink) -> Outbox:
    """What waits for the endpoints."""
    return Outbox(link, events_max=2000, dead_letters_max=1000)


@pytest.fixture
def parked(link: RedisLink, outbox: Outbox) -> Parked:
    """The parked sessions."""
    return Parked(link, outbox)


@pytest.fixture
def letters(link: RedisLink) -> DeadLetters:
    """The dead letters."""
    return DeadLetters(link)


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    """A receiver that takes everything until told otherwise."""
    async with running_receiver() as opened:
        yield opened


@pytest.fixture
def publish(stream: EventStream) -> Publish:
    """Publish an event number `n` of a session."""

    async def one(session_id: str, n: int, kind: EventKind = EventKind.MESSAGE, workspace_id: str = "7") -> Event:
        event = Event(
            event_id=new_id("evt"),
            kind=kind,
            session_id=session_id,
            workspace_id=workspace_id,
            user_id="12",
            at=utc_now(),
            data={"n": n},
        )
        await stream.publish(event)
        return event

    return one


@pytest.fixture
def start(outbox: Outbox, parked: Parked, receiver: Receiver) -> Start:
    """Run a dispatcher for the length of a block; keyword arguments are settings or the dispatcher's own."""

    @asynccontextmanager
    async def running(
        *,
        url: str | None = None,
        held_max: int = 100,
        schedule: RetrySchedule = QUICK,
        gone_grace_ms: int = 60_000,
        **settings: Any,
    ) -> AsyncIterator[Running]:
        values = {"LARAVEL_WEBHOOK": url or receiver.url, "LARAVEL_WEBHOOK_SECRET": SECRET} | settings
        read = WebhookSettings.model_validate(values)
        dispatcher = WebhookDispatcher(
            outbox,
            parked,
            read,
            Configured(read),
            schedule=schedule,
            held_max=held_max,
            rand=lambda: 1.0,
            look_s=0.05,
            gone_grace_ms=gone_grace_ms,
        )
        stop = asyncio.Event()
        entry = Running(dispatcher, stop, asyncio.create_task(dispatcher.run(stop)))
        try:
            yield entry
        finally:
            await entry.end()

    return running
