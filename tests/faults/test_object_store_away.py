"""The object store fails in every way under running sessions: they go on, nothing is lost, and it is caught up."""

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
import redis

from daemon.registry import keys
from tests.faults.archives import stored_orders, verify_archives
from tests.integration.house.conftest import Open
from tests.integration.house.house import FULL_CHROMIUM, House, random_phone, until
from tests.servers.faulty_s3 import Fault, FaultyS3
from tests.servers.s3 import S3Server

pytestmark = pytest.mark.timeout(240)  # whole houses, which are slow while others use the machine

OFTEN = {"SESSION_HOT_COPY_INTERVAL_MS": "1000", "SESSION_BACKUP_INTERVAL_MS": "2000"}
HASTY = {"shard_module": "tests.faults.hasty_shard"}
ROUNDS = 4
HOT_COPY_WITHIN_S = 15.0
"""Its interval here, the interval of the looks, and the time to take it on a busy machine."""
CATCHES_UP_WITHIN_S = 45.0


@dataclass(kw_only=True)
class Watched:
    """One session in a house with a store that can fail."""

    house: House
    store: FaultyS3
    s3: S3Server
    session_id: str
    phone: str

    async def change(self) -> None:
        """Change the profile, by a message."""
        sender = {"from": "5511888880001@c.us"}
        await self.house.phone("inbound", phone=self.phone, **sender, body="x" * 1000)

    async def order(self, kind: str) -> tuple[int, int]:
        """Return the order of the `hot_copy` or `archive` that is written down."""
        copy = (await self.house.session(self.session_id))[kind]
        return (copy["token"], copy["generation"])

    async def newer(self, kind: str, than: tuple[int, int], *, timeout_s: float) -> None:
        """Wait for a newer copy, with the profile changing as that of a session in use."""

        async def probe() -> bool:
            await self.change()
            return await self.order(kind) > than

        await until(f"a newer {kind} than {than}", probe, timeout_s=timeout_s)

    def failures(self) -> int:
        """Return how many times a failed backup was told."""
        return len(self.house.receiver.of(self.session_id, "backup_failed"))

    async def unscathed(self, chromium: set[int]) -> None:
        """Check that the session went on all the time, in the same Chromium."""
        shown = await self.house.session(self.session_id)
        assert (shown["status"], shown["reason"]) == ("connected", None)
        assert {process.pid for process in self.house.browsers()} == chromium
        assert "session_restored" not in self.house.receiver.kinds(self.session_id)
        assert (self.house.home / "profiles" / "shard_00" / "sessions" / self.session_id).is_dir()


@contextlib.asynccontextmanager
async def watched(open_house: Open, s3: S3Server, **settings: str) -> AsyncIterator[Watched]:
    async with FaultyS3(s3, slow_pause_s=0.1) as store, open_house(R2_ENDPOINT=store.url, **settings) as house:
        phone = random_phone()
        session_id = await house.link("u", phone)
        yield Watched(house=house, store=store, s3=s3, session_id=session_id, phone=phone)


async def live_through(session: Watched, fault: Fault, *, told: bool) -> None:
    """Have an outage of some seconds; `told` says whether it is one that a backup fails of in that time."""
    chromium = {process.pid for process in session.house.browsers()}
    archives, failures = await stored_orders(session.s3, session.session_id), session.failures()
    await session.store.turn(fault)
    before = await session.order("archive")
    for _ in range(ROUNDS):
        await session.newer("hot_copy", await session.order("hot_copy"), timeout_s=HOT_COPY_WITHIN_S)
    if told:
        await session.house.event(session.session_id, "backup_failed", failures + 1)
        for _ in range(ROUNDS):
            await session.newer("hot_copy", await session.order("hot_copy"), timeout_s=HOT_COPY_WITHIN_S)
        assert session.failures() == failures + 1, f"{fault} was told again and again"
        assert await session.order("archive") == before, f"{fault}: an archive counts as stored"
    await session.unscathed(chromium)
    await session.store.turn(Fault.NONE)
    await session.newer("archive", before, timeout_s=CATCHES_UP_WITHIN_S)
    assert set(archives) <= set(await stored_orders(session.s3, session.session_id)), f"{fault}: an archive is gone"
    await session.unscathed(chromium)


async def test_sessions_and_hot_copies_go_on_while_the_store_fails_and_archives_catch_up(
    open_house: Open, s3: S3Server
) -> None:
    async with watched(open_house, s3, **OFTEN) as session:
        for fault in (Fault.REFUSE, Fault.SLOW_DOWN, Fault.CUT_BODIES):
            await live_through(session, fault, told=True)
        await verify_archives(s3, [session.session_id])


async def test_a_store_that_hangs_keeps_nobody_from_a_hot_copy(open_house: Open, s3: S3Server) -> None:
    async with watched(open_house, s3, **OFTEN) as session:
        await live_through(session, Fault.HANG, told=False)
        await verify_archives(s3, [session.session_id])


async def test_a_store_that_hangs_for_long_is_told_once(open_house: Open, s3: S3Server) -> None:
    async with watched(open_house, s3, **OFTEN, **HASTY) as session:
        await live_through(session, Fault.HANG, told=True)
        await verify_archives(s3, [session.session_id])


async def test_slow_bodies_and_lost_answers_are_no_failure(open_house: Open, s3: S3Server) -> None:
    async with watched(open_house, s3, **OFTEN) as session:
        for fault, times in ((Fault.SLOW_BODIES, None), (Fault.LOSE_ANSWERS, 1), (Fault.LOSE_ANSWERS, None)):
            await session.store.turn(fault, times=times)
            began = len(session.store.seen)
            await session.newer("archive", await session.order("archive"), timeout_s=30)
            assert session.store.puts(since=began)[0].fault is fault
        assert session.failures() == 0
        await verify_archives(s3, [session.session_id])


async def test_a_stop_while_the_store_is_away_leaves_the_newest_state_on_disk(open_house: Open, s3: S3Server) -> None:
    # Too large for Redis, so that after a last backup that failed, the newest state is on the disk and nowhere else.
    alone = {"SESSION_HOT_COPY_MAX_BYTES": "10000", "CHROMIUM_PATH": FULL_CHROMIUM, **HASTY}
    async with FaultyS3(s3) as store, open_house(R2_ENDPOINT=store.url, **alone) as house:
        phone = random_phone()
        session_id = await linked_without_hot_copy(house, phone)
        path = f"/api/whatsapp/sessions/{session_id}"
        await store.turn(Fault.REFUSE)
        await house.http.post(f"{path}/stop")
        await house.status(session_id, "stopped", timeout_s=40)
        await house.event(session_id, "backup_failed", 1)
        await house.http.post(f"{path}/start")
        await house.event(session_id, "session_restored", 1)
        shown = await house.status(session_id, "connected")
        assert shown["restored_from"] == "local"
        await house.http.post(f"{path}/stop")
        await house.status(session_id, "stopped", timeout_s=40)
        await store.turn(Fault.NONE)

        async def caught_up() -> bool:
            found = (await house.session(session_id))["archive"]
            return bool(found["token"] > shown["archive"]["token"] and found["clean"])

        await until("the state of the stopped session is stored", caught_up, timeout_s=CATCHES_UP_WITHIN_S)
        assert (await house.session(session_id))["status"] == "stopped"
        await house.http.post(f"{path}/start")
        await house.event(session_id, "session_restored", 2)
        assert (await house.device(phone))["stale_logins"] == 0
        assert house.receiver.kinds(session_id).count("qr") == 1
        await verify_archives(s3, [session_id])


async def test_while_the_store_is_away_a_session_starts_from_its_hot_copy(open_house: Open, s3: S3Server) -> None:
    async with watched(open_house, s3) as session:
        house, session_id = session.house, session.session_id
        before = await session.order("archive")
        await session.store.turn(Fault.REFUSE)
        await house.http.post(f"/api/whatsapp/sessions/{session_id}/restart")
        await house.event(session_id, "session_restored", 1)
        await house.status(session_id, "connected")
        assert await asyncio.wait_for(house.stop("shard_00"), 30) == 0
        assert session.failures() >= 1
        newest = await session.order("hot_copy")
        house.wipe_profiles()
        await house.start("shard_00")
        restored = (await house.event(session_id, "session_restored", 2))["data"]
        assert (restored["source"], restored["token"], restored["generation"]) == ("redis", *newest)
        await house.status(session_id, "connected")
        assert (await house.device(session.phone))["stale_logins"] == 0
        await session.store.turn(Fault.NONE)
        await session.newer("archive", before, timeout_s=CATCHES_UP_WITHIN_S)
        await verify_archives(s3, [session_id])


async def test_a_start_that_needs_the_store_waits_for_it_without_a_scan(
    open_house: Open, s3: S3Server, redis_url: str
) -> None:
    async with watched(open_house, s3, **HASTY) as session:
        house, session_id = session.house, session.session_id
        for count, fault in enumerate((Fault.REFUSE, Fault.SLOW_DOWN, Fault.CUT_BODIES), 1):
            newest = await lose_all_but_the_archive(session, redis_url)
            await session.store.turn(fault)
            await house.start("shard_00")

            async def waits() -> bool:
                shown = await house.session(session_id)
                return (shown["status"], shown["reason"]) == ("pending", "object_store_unavailable")

            await until(f"{fault}: the session waits for the store", waits)
            assert not house.browsers()
            await session.store.turn(Fault.NONE)
            restored = (await house.event(session_id, "session_restored", count))["data"]
            assert (restored["source"], restored["token"], restored["generation"]) == ("r2", *newest)
            await house.status(session_id, "connected")
            assert house.receiver.kinds(session_id).count("qr") == 1
            assert (await house.device(session.phone))["stale_logins"] == 0
        await verify_archives(s3, [session_id])


async def linked_without_hot_copy(house: House, phone: str) -> str:
    """Link a session whose copies go to the object store only."""
    session_id = await house.create("u")
    await house.scan(session_id, phone)
    await house.status(session_id, "connected")

    async def archived() -> bool:
        return bool((await house.session(session_id))["archive"])

    await until("the first archive", archived)
    return session_id


async def lose_all_but_the_archive(session: Watched, redis_url: str) -> tuple[int, int]:
    """Kill the shard, lose its disk and the hot copy; return the order of the archive that is left."""
    house, session_id = session.house, session.session_id

    async def stored() -> bool:
        shown = await house.session(session_id)
        return bool(shown["archive"]["token"] == shown["token"])

    await until("an archive of this run", stored)
    await house.stop("shard_00", signal.SIGKILL)
    house.wipe_profiles()
    redis.Redis.from_url(redis_url).delete(keys.hot_copy(session_id))
    return await session.order("archive")
