"""Several real coordinators on one Redis, and what their deaths cost: time, and nothing else."""

import asyncio
import random
from pathlib import Path

from daemon.registry import keys
from tests.integration.coordinator.coordinators import Coordinators
from tests.integration.coordinator.placing import floor
from tests.integration.house.house import until

SESSIONS = 300
NAMES = ("a", "b", "c")


async def test_the_other_coordinator_leads_when_the_leader_is_killed_and_serves_all_the_time(
    redis_url: str, tmp_path: Path
) -> None:
    async with floor(redis_url) as room, Coordinators(tmp_path, redis_url) as coordinators:
        await room.beat(*NAMES)
        first, one = await coordinators.start()

        async def leader() -> str | None:
            found: str | None = await room.registry.link.text.get(keys.LEADER)
            return found

        leading = await until("the first leads", leader)
        _, other = await coordinators.start()
        await coordinators.listening(one)
        await coordinators.listening(other)
        assert await leader() == leading
        made = await other.post("/api/whatsapp/sessions", json={"workspace_id": "1", "user_id": "1"})
        assert made.status_code == 202
        assert made.json()["shard"] in NAMES
        # What only the leader does is done for the follower's client as well.
        assert (await other.delete(f"/api/whatsapp/sessions/{made.json()['session_id']}")).status_code == 204
        await until("the session is gone", lambda: _gone(room.registry.records))
        first.kill()
        await first.wait()
        ids = await room.sessions(5)

        async def placed() -> bool:
            places = await room.places()
            return all(places[session_id] in NAMES for session_id in ids)

        await until("the other one places", placed, timeout_s=20)
        assert await leader() != leading


async def _gone(records: object) -> bool:
    return not await records.summaries()  # type: ignore[attr-defined]  # Records


async def test_a_coordinator_that_is_told_to_stop_lets_the_other_one_lead_at_once(
    redis_url: str, tmp_path: Path
) -> None:
    async with floor(redis_url) as room, Coordinators(tmp_path, redis_url) as coordinators:
        first, one = await coordinators.start()
        await coordinators.listening(one)

        async def leads() -> bool:
            return bool(await room.registry.link.text.exists(keys.LEADER))

        await until("it leads", leads)
        first.terminate()
        assert await asyncio.wait_for(first.wait(), 20) == 0
        assert not await leads()


async def test_killing_coordinators_while_they_place_hundreds_of_sessions_only_delays(
    redis_url: str, tmp_path: Path
) -> None:
    chance = random.Random(7)
    async with floor(redis_url) as room, Coordinators(tmp_path, redis_url) as coordinators:
        await room.beat(*NAMES, "dead")
        await room.sessions(SESSIONS // 2, up_on="dead")
        await room.registry.drains.begin("c", total=0)
        link = room.registry.link.text
        await room.sessions(SESSIONS - SESSIONS // 2, first=SESSIONS // 2)

        async def begun() -> bool:
            return bool(await link.exists(keys.LEADER))

        for kills in range(6):
            process, _ = await coordinators.start()
            await until("it leads", begun)
            if kills == 1:
                await room.report_exit("dead")
            await asyncio.sleep(chance.uniform(0, 0.15))  # not to wait for anything: the moment is what is tried
            process.kill()
            await process.wait()
            await link.delete(keys.LEADER)
        await coordinators.start()

        async def settled() -> bool:
            places = await room.places()
            sets = await room.registry.records.placed_sets(("a", "b", "c"))
            listed = sorted(session_id for members in sets.values() for session_id in members)
            return set(places.values()) <= {"a", "b"} and listed == sorted(places)

        await until("every session is placed once", settled)
        assert len(await room.places()) == SESSIONS
        await room.check_sets(*NAMES)
