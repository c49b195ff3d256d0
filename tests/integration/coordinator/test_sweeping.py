"""Sweeping as a coordinator runs it: the leader removes what has expired, also of sessions that were deleted."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from daemon.coordinator.leader import Leadership
from daemon.coordinator.sweeping import Sweeping
from daemon.core.clock import utc_now
from daemon.registry import keys
from daemon.registry.registry import Registry
from daemon.registry.sends import Sends
from daemon.sessions.record import SessionRecord
from daemon.sessions.sends import SendFacts, SendState
from daemon.sessions.states import Desired
from tests.integration.coordinator.conftest import settings_for

ID = "session-1-7"


@pytest.fixture
async def registry(redis_url: str) -> AsyncIterator[Registry]:
    opened = Registry(settings_for(redis_url))
    await opened.link.text.flushdb()
    try:
        yield opened
    finally:
        await opened.close()


async def expired_key(registry: Registry) -> None:
    await Sends(registry.link, keep_ms=1).begin(ID, "k", "f", "3EB0AA", hold_ms=0)
    await asyncio.sleep(0.01)


async def test_only_the_leader_sweeps_and_only_until_it_stops(registry: Registry) -> None:
    await expired_key(registry)
    leadership, stop = Leadership(registry, "coordinator-of-tests"), asyncio.Event()
    sweeping = Sweeping(registry, leadership, stop)
    await sweeping.cycle()
    assert await leadership.keep()
    stop.set()
    await sweeping.cycle()
    assert await registry.link.text.exists(keys.send(ID, "k"))
    stop.clear()
    await sweeping.cycle()
    assert [key async for key in registry.link.text.scan_iter("*send*")] == []


async def test_a_deleted_sessions_key_is_remembered_for_its_time_and_then_swept(registry: Registry) -> None:
    now = utc_now()
    record = SessionRecord(
        session_id=ID, workspace_id="7", user_id="1", created_at=now, status_at=now, desired=Desired.DELETED
    )
    await registry.records.create(record)
    begun = await registry.sends.begin(ID, "k", "f", "3EB0AA", hold_ms=60_000)
    assert begun.ticket is not None
    unknown = SendFacts(state=SendState.UNKNOWN, message_id="3EB0AA")
    await registry.sends.settle(ID, begun.ticket, unknown)
    await registry.records.forget(ID)
    leadership = Leadership(registry, "coordinator-of-tests")
    assert await leadership.keep()
    sweeping = Sweeping(registry, leadership, asyncio.Event())
    await registry.link.text.zadd(keys.SENDERS, {ID: 1})
    await sweeping.cycle()
    facts = await registry.sends.get(ID, "k")
    assert facts is not None and facts.state is SendState.UNKNOWN
    await Sends(registry.link, keep_ms=1).settle(ID, begun.ticket, unknown)
    await asyncio.sleep(0.01)
    await registry.link.text.zadd(keys.SENDERS, {ID: 1})
    await sweeping.cycle()
    assert [key async for key in registry.link.text.scan_iter("*send*")] == []
