"""A coordinator may die after any of its steps: the next one makes the same placements, nothing lost and none twice."""

import contextlib

import pytest

from daemon.coordinator.acting import Acting
from daemon.coordinator.placer import Placer
from daemon.core.errors import RedisUnavailableError
from daemon.sessions.states import Desired, SessionState
from tests.integration.coordinator.breaking import Calls, breaking
from tests.integration.coordinator.placing import Floor, floor

NAMES = ("a", "b", "c")


async def furnish(room: Floor) -> None:
    """Make something of every kind to do: new sessions, those of a dead shard, a drain, ends, and stray placements."""
    registry = room.registry
    await registry.link.text.flushdb()
    await room.beat(*NAMES, "dead")
    ids = await room.sessions(8, up_on="dead")
    for session_id, shard in zip(ids, ["dead", "dead", "c", "c", "b", "b", None, None], strict=True):
        await registry.records.write_wish(session_id, {"shard": shard, "runs_on": shard})
    for name, members in (("dead", ids[:2]), ("c", ids[2:4]), ("b", ids[4:6]), ("a", ["unknown"])):
        await registry.link.text.sadd(f"wa:shard:{{{name}}}:placed", *members)
    await registry.link.text.srem("wa:shard:{dead}:placed", *ids[2:])
    for session_id in ids[:2]:
        await registry.link.text.set(f"wa:{{{session_id}}}:lease", f"{room.holder('dead')}|1")
    await registry.records.write_wish(ids[4], {"desired": Desired.STOPPED, "status": SessionState.STOPPED})
    await registry.records.write_wish(ids[5], {"desired": Desired.DELETED, "status": SessionState.PENDING})
    await registry.drains.begin("c", total=2)
    await room.report_exit("dead")


async def settle(room: Floor) -> dict[str, str | None]:
    """Reconcile as a new coordinator until nothing is left to do, and return the placements."""
    await room.registry.link.text.delete("wa:coordinator:leader")
    reconciler = room.reconciler("the next one")
    for _ in range(4):
        reconciler.hurry()
        await reconciler.cycle()
        await room.arrive()
    await room.check_sets(*NAMES)
    assert await room.registry.link.text.keys("wa:*:lease") == []
    return await room.places()


async def test_every_prefix_of_the_steps_leads_to_the_same_placements(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # One session a round trip, so that a coordinator can die between any two of them.
    one_by_one = lambda registry, placer: Acting(registry, placer, at_once=1)  # noqa: E731
    monkeypatch.setattr("daemon.coordinator.reconcile.Acting", one_by_one)
    async with floor(redis_url) as room:
        await furnish(room)
        whole = await settle(room)
        assert {shard for shard in whole.values() if shard} <= {"a", "b"}
        assert len([shard for shard in whole.values() if shard]) == 6
        for length in range(1000):
            await furnish(room)
            calls = Calls(length)
            dying = room.reconciler("the one that dies")
            with breaking(room.registry.link, calls), contextlib.suppress(RedisUnavailableError):
                await dying.cycle()
            assert await settle(room) == whole, f"after {length} calls"
            if calls.left:
                break
        else:
            raise AssertionError("a cycle does not end")
        assert length > 30


async def test_steps_may_be_done_twice(redis_url: str) -> None:
    async with floor(redis_url) as room:
        await furnish(room)
        whole = await settle(room)
        await furnish(room)
        reconciler = room.reconciler()
        plans = []
        apply = Acting.apply

        async def twice(self: Acting, steps: object) -> None:
            plans.append(steps)
            await apply(self, steps)  # type: ignore[arg-type]  # what the loop gave
            await apply(self, steps)  # type: ignore[arg-type]  # what the loop gave

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Acting, "apply", twice)
            await reconciler.cycle()
        assert plans
        assert await settle(room) == whole


async def test_a_placement_that_was_made_elsewhere_meanwhile_stands(redis_url: str) -> None:
    async with floor(redis_url) as room:
        await room.beat("a", "b")
        (session_id,) = await room.sessions(1)
        placed = await Placer(room.registry).place_new(await room.registry.records.get(session_id))
        assert placed.shard is not None
        again = await Placer(room.registry).place_new(await room.registry.records.get(session_id))
        assert again.shard == placed.shard
        await room.check_sets("a", "b")
