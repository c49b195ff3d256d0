"""kill -9 of the shard between the record and the event of a login or a logout: each is told once all the same."""

import pytest

from tests.faults.deaths import SHARD, Deaths
from tests.integration.house.conftest import Open
from tests.integration.house.house import random_phone
from tests.servers.s3 import S3Server

pytestmark = pytest.mark.timeout(120)

QUIET = {"SHARD_GRACE_MS": "60000"}
LOGIN = "after shards.runner.notes:SessionNotes.move ~ syncing"
LOGOUT = "after shards.runner.notes:SessionNotes.move ~ disconnected"
BEFORE_LOGOUT = "before daemon.registry.tombstones:Tombstones.put"


async def test_a_login_and_a_logout_are_told_once_although_the_shard_dies_at_them(
    open_house: Open, s3: S3Server
) -> None:
    async with open_house(**QUIET) as house:
        deaths = Deaths(house, s3)
        assert await house.stop(SHARD) == 0
        await deaths.start_dying([LOGIN], at_once=True)
        scanned = await house.create("scanned")
        await house.scan(scanned, random_phone())
        await deaths.died([LOGIN])
        await house.start(SHARD)
        await house.event(scanned, "authenticated")
        # No copy of that login was taken yet, and whether its profile had reached the disk is luck.
        await house.status(scanned, "connected", "disconnected")
        phone = random_phone()
        linked = await house.link("linked", phone)
        assert await house.stop(SHARD) == 0
        for step in (BEFORE_LOGOUT, LOGOUT):
            await deaths.start_dying([step], at_once=True)
            if step is BEFORE_LOGOUT:
                await house.status(linked, "connected")
                await house.phone("revoke", phone=phone)
            await deaths.died([step])
        await house.start(SHARD)
        told = await house.event(linked, "disconnected")
        assert told["data"] == {"reason": "logged_out", "logged_out": True}
        await house.status(linked, "disconnected")
        assert house.receiver.kinds(linked).count("disconnected") == 1
        assert house.receiver.kinds(scanned).count("authenticated") == 1
