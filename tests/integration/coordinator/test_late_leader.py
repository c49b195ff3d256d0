"""A leader that stood still goes on with what it had seen, while another has led and its users went on."""

import asyncio

from daemon.coordinator.acting import Acting
from daemon.coordinator.leader import Leadership
from daemon.coordinator.placer import Placer
from daemon.coordinator.steps import Steps
from daemon.core.clock import utc_now
from daemon.registry.tombstones import Tombstone
from daemon.sessions.states import Desired
from tests.integration.coordinator.placing import Floor, floor


async def run_once(room: Floor, session_id: str) -> int:
    """Run a session and end it; return the token of that login."""
    lease = await room.registry.leases.acquire(session_id, room.holder("a"), floor=0)
    await room.registry.leases.release(lease)
    return lease.token


async def test_its_delete_voids_no_login_that_was_made_since(redis_url: str) -> None:
    async with floor(redis_url) as room:
        registry = room.registry
        await room.beat("a")
        [session_id] = await room.sessions(1)
        old = await run_once(room, session_id)
        record = await registry.records.get(session_id)
        await registry.records.write_wish(session_id, {"desired": Desired.DELETED})
        seen = await registry.records.summaries()
        late, other = Acting(registry, Placer(registry)), Acting(registry, Placer(registry))
        await other.apply(Steps(finish_delete=seen))
        assert await registry.records.all() == []
        assert await registry.records.create(record)
        new = await run_once(room, session_id)
        await late.apply(Steps(finish_delete=seen))
        grave = await registry.tombstones.get(record.workspace_id, session_id)
        assert grave is not None
        assert old <= grave.void_token < new
        assert (await registry.records.get(session_id)).desired is Desired.RUNNING


async def test_a_tombstone_that_voids_more_stays(redis_url: str) -> None:
    async with floor(redis_url) as room:
        more = Tombstone(session_id="s", workspace_id="1", void_token=7, at=utc_now())
        less = Tombstone(session_id="s", workspace_id="1", void_token=6, at=utc_now())
        for grave in (less, more, less):
            await room.registry.tombstones.put(grave)
        [kept] = await room.registry.tombstones.all()
        assert kept.void_token == 7


async def test_a_leader_that_hears_nothing_stops_leading_by_its_own_clock_before_another_begins(redis_url: str) -> None:
    async with floor(redis_url) as room:
        first = Leadership(room.registry, "first", ttl_ms=1000)
        second = Leadership(room.registry, "second", ttl_ms=1000)
        assert await first.keep()
        ended = asyncio.create_task(first.wait(leading=False, stop=asyncio.Event()))
        while not await second.keep():
            await asyncio.sleep(0.01)
        assert not first.leading
        await asyncio.wait_for(ended, 5)
