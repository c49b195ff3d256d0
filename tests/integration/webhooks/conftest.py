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
from daemon.registry.events import EventStream
from daemon.registry.link import RedisLink
from daemon.sessions.events import Event, EventKind
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
async def receiver() -> AsyncIterator[Receiver]:
    """A receiver that takes everything until told otherwise."""
    async with running_receiver() as opened:
        yield opened


@pytest.fixture
def publish(stream: EventStream) -> Publish:
    """Publish an event number `n` of a session."""

    async def one(session_id: str, n: int) -> Event:
        event = Event(
            event_id=new_id("evt"),
            kind=EventKind.MESSAGE,
            session_id=session_id,
            workspace_id="7",
            user_id="12",
            at=utc_now(),
            data={"n": n},
        )
        await stream.publish(event)
        return event

    return one


@pytest.fixture
def start(stream: EventStream, receiver: Receiver) -> Start:
    """Run a dispatcher for the length of a block; keyword arguments are settings or the dispatcher's own."""

    @asynccontextmanager
    async def running(
        *, consumer: str = "one", url: str | None = None, held_max: int = 100, **settings: Any
    ) -> AsyncIterator[Running]:
        values = {"LARAVEL_WEBHOOK": url or receiver.url, "LARAVEL_WEBHOOK_SECRET": SECRET} | settings
        dispatcher = WebhookDispatcher(
            stream,
            WebhookSettings.model_validate(values),
            consumer,
            schedule=QUICK,
            held_max=held_max,
            rand=lambda: 1.0,
        )
        stop = asyncio.Event()
        entry = Running(dispatcher, stop, asyncio.create_task(dispatcher.run(stop)))
        try:
            yield entry
        finally:
            await entry.end()

    return running
