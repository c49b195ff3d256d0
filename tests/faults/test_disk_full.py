"""The disk of the profiles runs full: nothing is begun below the floor, nothing is left half written without one."""

import contextlib
import signal
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import redis

from daemon.registry import keys
from tests.faults.archives import verify_archives
from tests.faults.small_disk import SmallDisk, small_disk
from tests.integration.house.conftest import Open
from tests.integration.house.house import House, random_phone, until
from tests.servers.s3 import S3Server

pytestmark = pytest.mark.timeout(240)  # whole houses, which are slow while others use the machine

DISK_BYTES = 160_000_000
FLOOR_BYTES = 40_000_000
OFTEN = {"SESSION_HOT_COPY_INTERVAL_MS": "1000", "SESSION_BACKUP_INTERVAL_MS": "2000"}
SHARD = "shard_00"


@dataclass(kw_only=True)
class OnSmallDisk:
    """One session whose profile is on a disk that can be filled."""

    house: House
    disk: SmallDisk
    session_id: str
    phone: str

    @property
    def path(self) -> str:
        """Path of the session in the API."""
        return f"/api/whatsapp/sessions/{self.session_id}"

    async def change(self) -> None:
        """Change the profile, by a message."""
        sender = {"from": "5511888880001@c.us"}
        await self.house.phone("inbound", phone=self.phone, **sender, body="x" * 1000)

    async def newest(self) -> tuple[int, int]:
        """Return the order of the newest copy that is written down."""
        shown = await self.house.session(self.session_id)
        return max((copy["token"], copy["generation"]) for copy in (shown["hot_copy"], shown["archive"]) if copy)

    async def newer_copy(self, than: tuple[int, int]) -> None:
        """Wait for a newer copy, with the profile changing as that of a session in use."""

        async def probe() -> bool:
            await self.change()
            return await self.newest() > than

        await until(f"a newer copy than {than}", probe, timeout_s=45)

    async def settled(self) -> None:
        """Wait until the state since the last start is in both stores."""

        async def probe() -> bool:
            shown = await self.house.session(self.session_id)
            copies = (shown["hot_copy"], shown["archive"])
            return all(copy and copy["token"] == shown["token"] for copy in copies)

        await until("both stores have the state since the start", probe)

    async def waits(self, *reasons: str) -> None:
        """Wait until the session is at rest, to be tried again, for one of these reasons."""

        async def probe() -> bool:
            shown = await self.house.session(self.session_id)
            return shown["status"] in {"pending", "failed"} and shown["reason"] in reasons

        await until(f"the session waits for {reasons}", probe, timeout_s=90)

    async def killed(self) -> None:
        """Kill the shard while it writes nothing, and wait until its browsers hold nothing of the disk any more."""
        await self.nothing_half_written()
        await self.house.stop(SHARD, signal.SIGKILL)

        async def probe() -> bool:
            return not self.house.browsers()

        await until("the browsers are gone", probe)

    async def nothing_half_written(self) -> None:
        """Wait until the temporary places are empty."""

        async def probe() -> bool:
            return not self.temporary()

        await until("the temporary places are empty", probe, timeout_s=30)

    def temporary(self) -> list[Path]:
        """Return what lies in the temporary places of the shard."""
        root = self.disk.root / SHARD
        return [*root.glob("tmp/*"), *root.glob("sessions/.*")]

    async def no_scan_and_no_old_state(self) -> None:
        """Check that nothing was lost."""
        assert self.house.receiver.kinds(self.session_id).count("qr") == 1
        assert (await self.house.device(self.phone))["stale_logins"] == 0
        assert "ended by a bug" not in self.house.logs() and "Traceback" not in self.house.logs()


@contextlib.asynccontextmanager
async def on_small_disk(open_house: Open, **settings: str) -> AsyncIterator[OnSmallDisk]:
    house = open_house(**settings)
    async with small_disk(house.home / "profiles", size_bytes=DISK_BYTES) as disk:
        house.shard_prefix = disk.entering()
        async with house:
            phone = random_phone()
            session_id = await house.link("u", phone)
            yield OnSmallDisk(house=house, disk=disk, session_id=session_id, phone=phone)


async def test_below_the_floor_nothing_is_begun_and_above_it_all_goes_on(open_house: Open, s3: S3Server) -> None:
    async with on_small_disk(open_house, MIN_FREE_BYTES=str(FLOOR_BYTES), **OFTEN) as session:
        house, session_id = session.house, session.session_id
        session.disk.fill(leave_bytes=FLOOR_BYTES // 2)
        await session.change()
        told = await house.event(session_id, "backup_failed", 1)
        assert told["data"]["code"] == "disk_low"
        assert (await house.session(session_id))["status"] == "connected"
        refused = await house.http.post(f"{session.path}/backup")
        assert refused.json()["code"] == "disk_low" or "disk" in refused.text, refused.text
        assert len(house.receiver.of(session_id, "backup_failed")) == 1
        before = await session.newest()
        session.disk.clear()
        await session.newer_copy(before)

        await house.http.post(f"{session.path}/stop")
        await house.status(session_id, "stopped")
        session.disk.fill(leave_bytes=FLOOR_BYTES // 2)
        await house.http.post(f"{session.path}/start")
        await session.waits("disk_low")
        assert not house.browsers()
        token = (await house.session(session_id))["token"]

        async def tried_again() -> bool:
            return bool((await house.session(session_id))["token"] > token)

        await until("the start is tried again", tried_again)
        said = [line for line in house.logs().splitlines() if "session waits" in line]
        assert len(said) == 1 and "disk_low" in said[0] and "MIN_FREE_BYTES" in said[0], said
        session.disk.clear()
        await house.event(session_id, "session_restored", 1)
        await house.status(session_id, "connected")
        await session.no_scan_and_no_old_state()
        await verify_archives(s3, [session_id])


async def test_a_disk_that_runs_full_in_a_backup_leaves_nothing_half_written(open_house: Open, s3: S3Server) -> None:
    async with on_small_disk(open_house, MIN_FREE_BYTES="0", SHARD_GRACE_MS="60000") as session:
        house, session_id = session.house, session.session_id
        failed = []
        for leave_bytes in range(0, 2_000_000, 50_000):
            before = await session.newest()
            await session.change()
            session.disk.fill(leave_bytes=leave_bytes)
            answer = await house.http.post(f"{session.path}/backup")
            session.disk.clear()
            await session.nothing_half_written()
            await house.status(session_id, "connected")
            if answer.status_code == 202:
                break
            assert await session.newest() >= before
            failed.append(answer.json()["detail"])
        else:
            raise AssertionError(f"no backup has room in {leave_bytes} bytes: {failed}")
        before = await session.newest()
        assert len(set(failed)) > 1, failed
        await session.change()
        assert (await house.http.post(f"{session.path}/backup")).status_code == 202
        assert await session.newest() > before
        # What was stored last is what is restored, whatever the disk did meanwhile.
        await house.stop(SHARD, signal.SIGKILL)
        before = await session.newest()
        await house.start(SHARD)
        restored = (await house.event(session_id, "session_restored", 1))["data"]
        assert (restored["token"], restored["generation"]) >= before
        await house.status(session_id, "connected")
        await session.no_scan_and_no_old_state()
        await verify_archives(s3, [session_id])


@pytest.mark.parametrize("source", ["redis", "r2"])
async def test_a_disk_that_runs_full_in_a_restore_leaves_nothing_half_written(
    open_house: Open, s3: S3Server, redis_url: str, source: str
) -> None:
    async with on_small_disk(open_house, MIN_FREE_BYTES="0", SHARD_GRACE_MS="60000") as session:
        house, session_id = session.house, session.session_id
        for count, leave_bytes in enumerate((200_000, 20_000, 0), 1):
            await session.settled()
            await session.killed()
            before = await session.newest()
            if source == "r2":
                redis.Redis.from_url(redis_url).delete(keys.hot_copy(session_id))
            session.disk.fill(leave_bytes=leave_bytes)
            await house.start(SHARD)
            await session.waits("unavailable", "disk_low")
            await session.nothing_half_written()
            assert not house.browsers()
            session.disk.clear()
            restored = (await house.event(session_id, "session_restored", count))["data"]
            assert restored["source"] == source
            assert (restored["token"], restored["generation"]) == before
            await house.status(session_id, "connected")
        await session.no_scan_and_no_old_state()
        await verify_archives(s3, [session_id])
