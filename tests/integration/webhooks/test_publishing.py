"""What a shard tells: once, also across its crash; never as a stale holder; and what is lost is counted, loudly."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from pydantic import SecretStr
from structlog.testing import capture_logs

from daemon.core.clock import utc_now
from daemon.core.loops import cancel_all
from daemon.core.sections import RedisSettings
from daemon.registry import keys
from daemon.registry.dead_letters import DeadLetters
from daemon.registry.events import EventStream
from daemon.registry.link import RedisLink
from daemon.registry.outbox import EndpointCounts, Outbox
from daemon.registry.parked import Parked
from daemon.sessions.events import EventKind
from daemon.sessions.record import SessionRecord
from shards.publisher import Publisher
from tests.integration.webhooks.conftest import Publish, Start
from tests.integration.webhooks.receiver import Receiver, until
from tests.integration.webhooks.test_parking import refuse_session

RECORD = SessionRecord(session_id="s", workspace_id="7", user_id="12", created_at=utc_now(), status_at=utc_now())


@asynccontextmanager
async def telling(
    stream: EventStream, *, token: int = 0, may_tell: Callable[[], bool] = lambda: True
) -> AsyncIterator[Publisher]:
    publisher = Publisher(stream, RECORD, may_tell=may_tell, token=token)
    task = asyncio.create_task(publisher.run())
    try:
        yield publisher
    finally:
        await cancel_all([task])


async def kinds(outbox: Outbox) -> list[str]:
    return [one.event.kind.value for one in await outbox.take("laravel", 100, 10)]


async def test_what_has_an_identity_is_told_once_also_by_the_shard_that_restores_the_session(
    stream: EventStream, outbox: Outbox
) -> None:
    await outbox.join(["laravel"])
    for _ in range(2):  # the second shard's page shows the same messages again
        async with telling(stream) as publisher:
            await publisher.tell(EventKind.MESSAGE, {"id": "m1"}, identity="m1")
            await publisher.tell(EventKind.MESSAGE_ACK, {"ack": 1}, identity="m1:1")
            await publisher.tell(EventKind.READY, {})
            assert await publisher.drained(timeout_s=5)
    assert await kinds(outbox) == ["message", "message_ack", "ready", "ready"]


async def test_a_crash_between_telling_and_remembering_tells_it_again_with_the_same_id(
    link: RedisLink, stream: EventStream, outbox: Outbox
) -> None:
    await outbox.join(["laravel"])
    for _ in range(2):
        async with telling(stream) as publisher:
            await publisher.tell(EventKind.MESSAGE, {"id": "m1"}, identity="m1")
            assert await publisher.drained(timeout_s=5)
        await link.text.delete(keys.told("s"))
    first, second = await outbox.take("laravel", 100, 10)
    assert first.event.event_id == second.event.event_id


async def test_a_holder_whose_token_is_stale_tells_nothing_and_says_what_was_lost(
    link: RedisLink, stream: EventStream, outbox: Outbox
) -> None:
    await outbox.join(["laravel"])
    await link.text.set(keys.token("s"), 8)
    with capture_logs() as lines:
        async with telling(stream, token=7) as stale:
            await stale.tell(EventKind.READY, {})
            await stale.tell(EventKind.DISCONNECTED, {})
            assert not await stale.drained(timeout_s=5)
    assert stale.lost == 2
    assert [line["log_level"] for line in lines] == ["error", "error"]
    async with telling(stream, token=8) as holder:
        await holder.tell(EventKind.READY, {})
        assert await holder.drained(timeout_s=5)
    assert await kinds(outbox) == ["ready"]


async def test_a_redis_that_is_away_stalls_nobody_longer_than_the_lease_and_the_loss_is_counted() -> None:
    held = True
    settings = RedisSettings(REDIS_URL=SecretStr("unix:///nowhere/r.sock"), REDIS_TIMEOUT_MS=100)
    async with RedisLink(settings) as gone, telling(EventStream(gone), may_tell=lambda: held) as publisher:

        async def pump() -> None:
            for n in range(1200):  # more than the queue holds
                await publisher.tell(EventKind.MESSAGE, {"id": n}, identity=str(n))

        pumping = asyncio.create_task(pump())
        await asyncio.sleep(0.1)
        assert not pumping.done()
        held = False
        await asyncio.wait_for(pumping, 10)
        with capture_logs() as lines:
            assert not await publisher.drained(timeout_s=5)
    assert publisher.lost == 1200
    assert [(line["log_level"], line["lost"]) for line in lines if "lost" in line] == [("error", 1200)]


async def test_a_full_stream_loses_the_oldest_loudly_and_delivers_the_rest(
    link: RedisLink, outbox: Outbox, receiver: Receiver, publish: Publish, start: Start
) -> None:
    await outbox.join(["laravel"])
    small = EventStream(link, events_max=20)
    events = [await publish("s", n) for n in range(30)]
    await small.publish(events[-1])
    assert (await outbox.counts()).endpoints["laravel"].dropped == 11
    with capture_logs() as lines:
        async with start():
            await until(lambda: len(receiver.taken) == 20, "the rest")
        lost = [line for line in lines if line["event"].startswith("webhook events lost")]
    assert receiver.numbers("s") == [*range(11, 30), 29]
    assert [(line["log_level"], line["events"]) for line in lost] == [("error", 11)]


async def test_parking_without_room_buries_instead_and_loses_nothing(
    link: RedisLink, outbox: Outbox, letters: DeadLetters, receiver: Receiver, publish: Publish, start: Start
) -> None:
    outbox.events_max = 5
    receiver.behave = refuse_session("bad")
    for n in range(12):
        await publish("bad", n)
    async with start():
        async with asyncio.timeout(30):
            while (await outbox.counts()).endpoints.get("laravel", EndpointCounts()).dead != 7:
                await asyncio.sleep(0.005)
    parked = await Parked(link, outbox).head("laravel", "bad", 100)
    buried = (await letters.page()).letters
    assert [one.event.data["n"] for one in parked] + [one.event["data"]["n"] for one in buried] == list(range(12))
    assert {"EVENTS_MAX" in one.reason for one in buried} == {True}


@pytest.mark.parametrize("text", ['{"id":"x","event":"of_a_newer_version","session_id":"s"}', "not json"])
async def test_an_event_that_cannot_be_read_is_kept_among_the_dead_letters_and_holds_up_nobody(
    text: str, link: RedisLink, letters: DeadLetters, receiver: Receiver, publish: Publish, start: Start
) -> None:
    await link.text.xadd(keys.EVENTS, {"event": text})
    await publish("s", 1)
    async with start():
        await until(lambda: receiver.numbers("s") == [1], "the next one")
    [letter] = (await letters.page()).letters
    assert "cannot be read" in letter.reason
    assert letter.event.get("event") in {"of_a_newer_version", None}
