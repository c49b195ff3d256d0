"""The reconcile loop on a real Redis, with shards that only beat."""

from datetime import timedelta

from daemon.coordinator.leader import Leadership
from daemon.core.clock import utc_now
from daemon.registry import keys
from daemon.sessions.states import Desired, SessionState
from tests.integration.coordinator.placing import floor


async def test_thousands_are_placed_in_one_cycle_and_evenly(redis_url: str) -> None:
    async with floor(redis_url) as room:
        await room.beat("a", "b", "c", "d")
        await room.sessions(2000)
        await room.reconciler().cycle()
        placed = await room.registry.records.placed_counts(["a", "b", "c", "d"])
        assert sum(placed.values()) == 2000
        assert max(placed.values()) <= 626
        await room.check_sets("a", "b", "c", "d")


async def test_a_crash_moves_the_sessions_at_once_although_the_heartbeat_is_still_there(redis_url: str) -> None:
    async with floor(redis_url) as room:
        await room.beat("a", "b")
        ids = await room.sessions(3, up_on="a")
        for session_id in ids:
            await room.registry.link.text.set(keys.lease(session_id), f"{room.holder('a')}|1")
        reconciler = room.reconciler()
        await reconciler.cycle()
        assert set((await room.places()).values()) == {"a"}
        await room.report_exit("a")
        await reconciler.cycle()
        assert set((await room.places()).values()) == {"b"}
        assert not await room.registry.leases.held(ids)


async def test_a_stop_on_purpose_moves_nothing_in_the_grace_time(redis_url: str) -> None:
    async with floor(redis_url) as room:
        await room.beat("a", "b")
        await room.sessions(3, up_on="a")
        reconciler = room.reconciler()
        await reconciler.cycle()
        await room.report_exit("a", expected=True)
        await room.registry.shards.leave("a")
        await reconciler.cycle()
        await room.beat("a", again=True)
        await reconciler.cycle()
        assert set((await room.places()).values()) == {"a"}


async def test_a_new_leader_knows_the_last_process_of_a_silent_shard(redis_url: str) -> None:
    async with floor(redis_url) as room:
        await room.beat("a", "b")
        await room.sessions(2, up_on="a")
        await room.reconciler("first").cycle()
        await room.registry.shards.leave("a")
        await room.report_exit("a")
        await room.registry.link.text.delete(keys.LEADER)
        await room.reconciler("second").cycle()
        assert set((await room.places()).values()) == {"b"}


async def test_a_shard_that_is_back_after_a_crash_keeps_what_is_placed_on_it_and_gets_nothing_new(
    redis_url: str,
) -> None:
    async with floor(redis_url) as room:
        await room.beat("a", "b")
        await room.sessions(2, up_on="a")
        reconciler = room.reconciler()
        await reconciler.cycle()
        await room.report_exit("a")
        await room.beat("a", again=True)
        await reconciler.cycle()
        assert set((await room.places()).values()) == {"a"}
        new = await room.sessions(4, first=2)
        reconciler.hurry()
        await reconciler.cycle()
        places = await room.places()
        assert {places[session_id] for session_id in new} == {"b"}


async def test_a_drain_empties_a_shard_a_few_sessions_at_a_time(redis_url: str) -> None:
    async with floor(redis_url, DRAIN_PARALLEL=3) as room:
        await room.beat("a", "b", "c")
        await room.sessions(7, up_on="a")
        await room.registry.drains.begin("a", total=7)
        reconciler, left = room.reconciler(), []
        for _ in range(8):
            reconciler.hurry()
            await reconciler.cycle()
            counted = (await room.registry.drains.all())["a"].count
            assert counted is not None
            assert counted.moving <= 3
            left.append((counted.left, counted.moving))
            await room.arrive()
        assert left[0] == (4, 3)
        assert left[-1] == (0, 0)
        assert "a" not in (await room.places()).values()
        # It stays drained, whoever comes and whatever process has its name.
        await room.beat("a", again=True)
        new = await room.registry.records.summaries()
        assert all(session.moving_from is None for session in new)


async def test_a_session_is_not_looked_at_again_while_nothing_changes(redis_url: str) -> None:
    async with floor(redis_url, RECONCILE_FULL_MS=600_000) as room:
        await room.beat("a")
        (session_id,) = await room.sessions(1, up_on="a")
        reconciler = room.reconciler()
        await reconciler.cycle()
        await room.registry.records.write_wish(session_id, {"desired": Desired.STOPPED})
        await reconciler.cycle()
        assert (await room.registry.records.get(session_id)).status is SessionState.CONNECTED
        reconciler.hurry()
        await reconciler.cycle()
        assert (await room.registry.records.get(session_id)).status is SessionState.STOPPED


async def test_an_unreadable_record_keeps_no_other_from_being_placed(redis_url: str) -> None:
    async with floor(redis_url) as room:
        await room.beat("a")
        bad, good = await room.sessions(2)
        await room.registry.link.text.hset(keys.record(bad), "status", "asleep")
        await room.reconciler().cycle()
        assert (await room.places()) == {good: "a"}


async def test_a_leader_that_ends_in_order_leaves_no_lock_behind(redis_url: str) -> None:
    async with floor(redis_url) as room:
        first, second = Leadership(room.registry, "first"), Leadership(room.registry, "second")
        assert await first.keep()
        assert not await second.keep()
        await second.give_up()
        assert not await second.keep()
        await first.give_up()
        assert await second.keep()


async def test_an_old_crash_closes_nothing(redis_url: str) -> None:
    async with floor(redis_url) as room:
        await room.beat("a", "b")
        await room.report_exit("a", at=utc_now() - timedelta(minutes=9))
        await room.beat("a", again=True)
        await room.sessions(20)
        await room.reconciler().cycle()
        assert set((await room.places()).values()) == {"a", "b"}
