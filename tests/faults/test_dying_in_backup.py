"""kill -9 of the shard at each step of a backup: the last stored generation restores, and nothing is left over."""

import asyncio
import contextlib
import signal
from collections.abc import Sequence

import httpx
import pytest

from tests.faults.archives import verify_archives
from tests.faults.deaths import SHARD, Deaths
from tests.integration.house.conftest import Open
from tests.servers.faulty_s3 import FaultyS3
from tests.servers.s3 import S3Server

pytestmark = pytest.mark.timeout(240)  # whole houses, which are slow while others use the machine

QUIET = {"SHARD_GRACE_MS": "60000"}
"""The sessions wait for their shard however long it is dead."""

SNAPSHOT = {
    "before the snapshot": ["before shards.profile.snapshot:take_live"],
    "between two databases": ["after shards.profile.leveldb:copy_leveldb #1"],
    "after the snapshot": ["after shards.profile.snapshot:take_live"],
    "after the hot copy is packed": ["after shards.archive.hot:pack_hot"],
    "before the packing": ["before shards.archive.pack:pack"],
    "after the packing": ["after shards.archive.pack:pack"],
    "before the hot copy": ["before daemon.registry.copies:HotCopies.put"],
    "after the hot copy": ["after daemon.registry.copies:HotCopies.put"],
}
UPLOAD = {
    "before the upload": ["before daemon.objectstore.catalogue:Catalogue.store"],
    "before the upload's body": ["after http.client:HTTPConnection.send ~PUT /"],
    "amid the upload's body": [
        "after http.client:HTTPConnection.send ~PUT /",
        "after http.client:HTTPConnection.send",
    ],
    "after the upload": ["after daemon.objectstore.store:ObjectStore.put_new"],
    "before the archive is written down": ["before daemon.registry.records:Records.write_held ~'archive'"],
    "after the archive is written down": ["after daemon.registry.records:Records.write_held ~'archive'"],
}
FINAL = {
    "before the last snapshot is packed": ["before shards.archive.pack:pack"],
    "before the last hot copy": ["before daemon.registry.copies:HotCopies.put"],
    "before the last upload": ["before daemon.objectstore.catalogue:Catalogue.store"],
    "after the last upload": ["after daemon.objectstore.store:ObjectStore.put_new"],
    "before the lease is given back": ["before daemon.registry.leases:Leases.release"],
    "after the lease is given back": ["after daemon.registry.leases:Leases.release"],
    "before the farewell": ["before shards.heartbeat:HeartbeatLoop.farewell"],
}


async def ask_for_backup(deaths: Deaths) -> None:
    """Ask for a backup, without waiting for the answer of a shard that will be dead."""
    session = deaths.sessions[0]
    with contextlib.suppress(httpx.TransportError, TimeoutError):
        path = f"/api/whatsapp/sessions/{session.session_id}/backup"
        await asyncio.wait_for(deaths.house.http.post(path), 5)


async def stop_shard(deaths: Deaths) -> None:
    """Ask the shard to end, which takes the last backups."""
    deaths.house.processes[SHARD].send_signal(signal.SIGTERM)


async def die_at_each(deaths: Deaths, steps: dict[str, Sequence[str]], *, stopping: bool) -> None:
    """Die at one step after another; each new start shows that the death before it cost nothing."""
    after: object = "a first kill"
    for name, step in steps.items():
        await deaths.start_dying(step, at_once=False)
        await deaths.all_back(after)
        await deaths.settled()
        await deaths.change()
        deaths.arm()
        provoking = asyncio.create_task((stop_shard if stopping else ask_for_backup)(deaths))
        await deaths.died(step)
        provoking.cancel()
        after = name
    await deaths.house.start(SHARD)
    await deaths.all_back(after)


@pytest.mark.parametrize(
    ("steps", "stopping"),
    [
        pytest.param(SNAPSHOT, False, id="snapshot"),
        pytest.param(UPLOAD, False, id="upload"),
        pytest.param(FINAL, True, id="last backup"),
    ],
)
async def test_a_shard_killed_in_a_backup_comes_back_with_the_last_stored_generation(
    open_house: Open, s3: S3Server, steps: dict[str, Sequence[str]], stopping: bool
) -> None:
    async with FaultyS3(s3) as store, open_house(R2_ENDPOINT=store.url, **QUIET) as house:
        deaths = Deaths(house, s3)
        await deaths.link(2)
        await deaths.kill()
        await die_at_each(deaths, steps, stopping=stopping)
        if "amid the upload's body" in steps:
            cut = [put for put in store.puts() if 0 < put.received_bytes < put.announced_bytes]
            assert cut, "no upload was cut in its middle"
        await verify_archives(s3, [session.session_id for session in deaths.sessions])
