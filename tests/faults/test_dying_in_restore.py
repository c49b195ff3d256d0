"""kill -9 of the shard at each step of a restore: the next start restores the same generation from where it lies."""

import secrets
import signal
from collections.abc import Sequence

import pytest
import redis

from daemon.core.archive_keys import archive_keys_text
from daemon.registry import keys
from tests.faults.archives import verify_archives
from tests.faults.deaths import SHARD, Deaths
from tests.integration.house.conftest import Open
from tests.integration.house.house import FULL_CHROMIUM
from tests.servers.s3 import S3Server

pytestmark = pytest.mark.timeout(240)  # whole houses, which are slow while others use the machine

UNPACKING = {
    "before the lease": ["before daemon.registry.leases:Leases.acquire"],
    "after the lease": ["after daemon.registry.leases:Leases.acquire"],
    "amid the unpacking": ["after os:fsync #3 ~sessions/\\."],
    "before the new profile is in place": ["before os:rename ~\\.new "],
    "after the new profile is in place": ["after os:rename ~\\.new "],
    "before Chromium starts": ["before shards.browser.process:BrowserProcess.start"],
    "after Chromium started": ["after shards.browser.process:BrowserProcess.start"],
}
FETCHING = {
    "before the list": ["before daemon.objectstore.catalogue:Catalogue.newest_first"],
    "before the download": ["before daemon.objectstore.catalogue:Catalogue.fetch"],
    "after the download": ["after daemon.objectstore.catalogue:Catalogue.fetch"],
    **UNPACKING,
}
LOGGING_IN = {
    "after the page is open": ["after shards.runner.opened:open_page"],
    "before the log-in is copied": ["before daemon.registry.copies:HotCopies.put"],
}
UNSAVED = {
    "before the last snapshot": ["before shards.profile.snapshot:take_clean"],
    "before the last hot copy": ["before daemon.registry.copies:HotCopies.put"],
}
ON_DISK = {
    "after Chromium started on the local profile": ["after shards.browser.process:BrowserProcess.start"],
}


async def die_at_each(deaths: Deaths, steps: dict[str, Sequence[str]], *, stale: int = 0) -> None:
    """Die at one step after another without ever coming up, then come up."""
    for step in steps.values():
        await deaths.start_dying(step, at_once=True)
        await deaths.died(step)
    await deaths.house.start(SHARD)
    await deaths.all_back(list(steps), stale=stale)


async def test_a_restore_from_redis_is_killed_at_each_step(open_house: Open, s3: S3Server) -> None:
    async with open_house(SHARD_GRACE_MS="60000") as house:
        deaths = Deaths(house, s3)
        await deaths.link(2)
        await deaths.kill()
        await die_at_each(deaths, UNPACKING)
        await deaths.settled()
        await deaths.kill()
        # These log in and die before anybody has copied what the log-in did: the older state is the last stored one.
        await die_at_each(deaths, LOGGING_IN, stale=len(LOGGING_IN))
        await verify_archives(s3, [session.session_id for session in deaths.sessions])


async def test_a_restore_from_r2_is_killed_at_each_step(open_house: Open, s3: S3Server, redis_url: str) -> None:
    key = {"k1": secrets.token_bytes(32)}
    async with open_house(SHARD_GRACE_MS="60000", ARCHIVE_KEYS=archive_keys_text(key)) as house:
        deaths = Deaths(house, s3)
        await deaths.link(2)
        await deaths.kill()
        house.wipe_profiles()
        for session in deaths.sessions:
            redis.Redis.from_url(redis_url).delete(keys.hot_copy(session.session_id))
        await die_at_each(deaths, FETCHING)
        for session in deaths.sessions:
            assert (await house.session(session.session_id))["restored_from"] == "r2"
        await verify_archives(s3, [session.session_id for session in deaths.sessions], keys=key)


async def test_a_profile_whose_last_copy_was_never_stored_is_started_from_disk(open_house: Open, s3: S3Server) -> None:
    async with open_house(SHARD_GRACE_MS="60000", CHROMIUM_PATH=FULL_CHROMIUM) as house:
        deaths = Deaths(house, s3)
        await deaths.link(1)
        await deaths.kill()
        for name, step in UNSAVED.items():
            await deaths.start_dying(step, at_once=False)
            await deaths.all_back(f"before {name}")
            await deaths.settled()
            await deaths.change()
            deaths.arm()
            house.processes[SHARD].send_signal(signal.SIGTERM)
            await deaths.died(step)
            # Lost with the disk alone: what Chromium wrote at its end is nowhere else.
            deaths.source = "local"
        await house.start(SHARD)
        await deaths.all_back("a last backup that was never stored")
        await verify_archives(s3, [session.session_id for session in deaths.sessions])


async def test_a_start_on_the_profile_left_on_disk_is_killed_at_each_step(open_house: Open, s3: S3Server) -> None:
    async with open_house(SHARD_GRACE_MS="60000", CHROMIUM_PATH=FULL_CHROMIUM) as house:
        deaths = Deaths(house, s3)
        await deaths.link(1)
        assert await house.stop(SHARD) == 0
        for count, step in enumerate(ON_DISK.values(), 1):
            await deaths.start_dying(step, at_once=True)
            await deaths.died(step)
            assert house.logs().count("source=local") == count, "the profile on disk was not used"
        # Chromium was up, but no page had touched the login.
        deaths.source = "local"
        await house.start(SHARD)
        await deaths.all_back(list(ON_DISK))
        await verify_archives(s3, [session.session_id for session in deaths.sessions])
