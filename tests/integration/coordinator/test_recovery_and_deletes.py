"""A session that is deleted while lost ones are being looked for stays deleted."""

from daemon.coordinator.lost import LostSessions, Tally
from daemon.coordinator.recovering import Mending, recovered
from daemon.core.clock import utc_now
from daemon.core.ids import new_id
from daemon.registry.registry import Registry
from daemon.registry.tombstones import Tombstone
from daemon.sessions.known import KnownSession
from daemon.sessions.states import Desired
from tests.integration.coordinator.conftest import settings_for


async def begin(registry: Registry, known: KnownSession, grave: Tombstone | None) -> Tally:
    """Do what was planned for a session, after its delete, if there is a grave, came in between."""
    lost, tally = LostSessions(registry, archives=None, legacy_prefix=""), Tally()  # type: ignore[arg-type]  # not asked
    planned = Mending(record=recovered(known, Desired.RUNNING, 0, utc_now()))
    if grave is not None:
        await registry.tombstones.put(grave)
    await lost._create(known, planned, tally)
    return tally


async def test_a_record_made_after_its_session_was_deleted_is_taken_back(redis_url: str) -> None:
    registry = Registry(settings_for(redis_url))
    try:
        for void_token, wanted in ((7, Desired.DELETED), (6, Desired.RUNNING), (None, Desired.RUNNING)):
            known = KnownSession(session_id=new_id("s").lower(), workspace_id="1", user_id="u", newest=(7, 3))
            grave = None
            if void_token is not None:
                grave = Tombstone(session_id=known.session_id, workspace_id="1", void_token=void_token, at=utc_now())
            tally = await begin(registry, known, grave)
            assert (await registry.records.get(known.session_id)).desired is wanted
            assert tally.begun == ([] if wanted is Desired.DELETED else [known.session_id])
    finally:
        await registry.close()
