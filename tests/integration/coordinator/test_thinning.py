"""Thinning the archives of living sessions: what goes, and above all what stays."""

import pytest
from structlog.testing import capture_logs

from daemon.core.errors import ObjectStoreUnavailableError
from daemon.core.ids import new_id
from daemon.objectstore.archives import Archives
from daemon.sessions.states import Desired
from tests.integration.coordinator.conftest import Room


async def test_the_newest_two_archives_of_today_stay(room: Room, session_id: str) -> None:
    refs = [await room.archive(session_id, *order) for order in ((1, 1), (1, 2), (2, 3), (10, 4), (10, 5))]
    await room.session(session_id, refs[-1])
    with capture_logs() as logs:
        tally = await room.thin()
    assert await room.kept(session_id) == [(10, 5), (10, 4)]
    assert (tally.removed, tally.failed, tally.ended_early) == (3, 0, False)
    lines = [(line["session_id"], line["removed"], line["kept"]) for line in logs if "removed" in line]
    assert lines == [(session_id, 3, 2)], "one line for each session"
    assert (await room.thin()).removed == 0


async def test_sessions_whose_ids_begin_alike_keep_their_own(room: Room) -> None:
    first = new_id("s")
    ids = [first, f"{first}-b", f"{first}0", f"{first}_"]
    for session_id in ids:
        refs = [await room.archive(session_id, 1, generation) for generation in (1, 2, 3)]
        await room.session(session_id, refs[-1])
    assert (await room.thin()).removed == 4
    for session_id in ids:
        assert await room.kept(session_id) == [(1, 3), (1, 2)]


async def test_without_a_record_nothing_goes(room: Room, session_id: str) -> None:
    """A Redis that lost its data must not cost archives; nor must a session of this id in another workspace."""
    for generation in (1, 2, 3):
        await room.archive(session_id, 1, generation)
    assert (await room.thin()).removed == 0
    await room.session(session_id, await room.archive(session_id, 1, 4, "other"), workspace_id="other")
    assert (await room.thin()).removed == 0
    assert await room.kept(session_id) == [(1, 3), (1, 2), (1, 1)]


async def test_a_session_that_stored_nothing_yet_or_is_being_deleted_keeps_all(room: Room) -> None:
    for desired in (Desired.RUNNING, Desired.DELETED):
        session_id = new_id("s")
        refs = [await room.archive(session_id, 1, generation) for generation in (1, 2, 3)]
        await room.session(session_id, refs[-1] if desired is Desired.DELETED else None, desired=desired)
        assert (await room.thin()).removed == 0
        assert len(await room.kept(session_id)) == 3


async def test_what_is_not_older_than_the_recorded_archive_stays(room: Room, session_id: str) -> None:
    refs = [await room.archive(session_id, 1, generation) for generation in range(1, 7)]
    await room.session(session_id, refs[1])
    assert (await room.thin()).removed == 1
    assert await room.kept(session_id) == [(1, 6), (1, 5), (1, 4), (1, 3), (1, 2)]


async def test_zips_of_a_node_service_and_other_objects_stay(room: Room, session_id: str) -> None:
    refs = [await room.archive(session_id, 1, generation) for generation in (1, 2, 3)]
    await room.session(session_id, refs[-1])
    folder = f"workspace_ws/{session_id}"
    others = [room.put(key) for key in (f"{folder}.zip", f"{folder}/RemoteAuth-{session_id}.zip", f"{folder}/t1.zip")]
    assert (await room.thin()).removed == 1
    for key in others:
        assert await room.archives.facts(key)


@pytest.mark.parametrize("fault", ["gone", "other-size"])
async def test_older_ones_stay_while_the_newest_is_not_as_it_was_stored(
    room: Room, session_id: str, fault: str
) -> None:
    refs = [await room.archive(session_id, 1, generation) for generation in (1, 2, 3, 4)]
    await room.session(session_id, refs[-1])
    await room.archives.delete(refs[-1])
    if fault == "other-size":
        room.put(refs[-1].key)
    good = new_id("s")
    good_refs = [await room.archive(good, 1, generation) for generation in (1, 2, 3)]
    await room.session(good, good_refs[-1])
    with capture_logs() as logs:
        tally = await room.thin()
    assert set(await room.kept(session_id)) >= {(1, 1), (1, 2), (1, 3)}
    assert await room.kept(good) == [(1, 3), (1, 2)], "one session's trouble does not stop the others"
    assert (tally.removed, tally.failed) == (1, 1)
    assert [line["session_id"] for line in logs if line["event"] == "old archives stay"] == [session_id]


async def test_an_archive_stored_after_the_listing_counts(room: Room, session_id: str) -> None:
    refs = [await room.archive(session_id, 1, generation) for generation in (1, 2, 3, 4)]
    later = Later(room.archives, refs[-1].key)
    await room.session(session_id, refs[-1])
    room.archives = later
    assert (await room.thin()).removed == 1
    assert await room.kept(session_id) == [(1, 4), (1, 3), (1, 2)]


class Later(Archives):
    """Archives whose listing was made before one object was stored."""

    def __init__(self, real: Archives, unseen: str) -> None:
        self.__dict__.update(real.__dict__)
        self._unseen = unseen

    async def objects(self, prefix: str):  # type: ignore[no-untyped-def]  # as the one it takes the place of
        async for item in Archives.objects(self, prefix):
            if item.key != self._unseen:
                yield item


class Breaking(Archives):
    """Archives whose listing breaks off before one object."""

    def __init__(self, real: Archives, before: str) -> None:
        self.__dict__.update(real.__dict__)
        self._before = before

    async def objects(self, prefix: str):  # type: ignore[no-untyped-def]  # as the one it takes the place of
        async for item in Archives.objects(self, prefix):
            if item.key == self._before:
                raise ObjectStoreUnavailableError("the line broke")
            yield item


async def test_a_session_whose_listing_did_not_finish_keeps_all(room: Room, session_id: str) -> None:
    refs = [await room.archive(session_id, 1, generation) for generation in (1, 2, 3, 4)]
    await room.session(session_id, refs[-1])
    room.archives = Breaking(room.archives, refs[3].key)
    with pytest.raises(ObjectStoreUnavailableError):
        await room.thin()
    assert len(await room.kept(session_id)) == 4


async def test_who_stops_leading_stops_removing(room: Room, session_id: str) -> None:
    refs = [await room.archive(session_id, 1, generation) for generation in range(1, 7)]
    await room.session(session_id, refs[-1])
    # One look at each session listed before ours, then one before each removal.
    listed = {
        item.key.rpartition("/")[0]
        async for item in room.archives.objects("workspace_")
        if "/t0" in item.key and item.key < refs[0].key
    } - {f"workspace_ws/{session_id}"}
    tally = await room.thin(looks=len(listed) + 1 + 2)
    assert (tally.removed, await room.kept(session_id)) == (2, [(1, 6), (1, 5), (1, 4), (1, 3)])
    assert (await room.thin(looks=0)).ended_early


async def test_a_tombstone_covers_what_it_voids_and_nothing_else(room: Room, session_id: str) -> None:
    refs = [await room.archive(session_id, *order) for order in ((1, 1), (1, 2), (2, 3), (3, 4), (3, 5), (3, 6))]
    await room.session(session_id, refs[-1], void_token=2)
    await room.tombstone(session_id, 2, age_ms=0)
    assert (await room.thin()).removed == 1
    assert await room.kept(session_id) == [(3, 6), (3, 5), (2, 3), (1, 2), (1, 1)]


async def test_one_pass_is_one_listing(room: Room, session_id: str) -> None:
    refs = [await room.archive(session_id, 1, generation) for generation in (1, 2, 3)]
    await room.session(session_id, refs[-1])
    objects = len([item async for item in room.archives.objects("workspace_")])
    before = room.archives.usage()
    await room.thin()
    after = room.archives.usage()
    assert (after.class_a - before.class_a, after.class_b - before.class_b) == (objects // 1000 + 1, 1)


class Failing(Archives):
    """Archives whose store fails at each removal."""

    def __init__(self, real: Archives) -> None:
        self.__dict__.update(real.__dict__)

    async def delete(self, ref: object) -> None:
        raise ObjectStoreUnavailableError("away")


async def test_a_store_that_fails_for_everybody_ends_the_pass(room: Room) -> None:
    for _ in range(7):
        session_id = new_id("s")
        refs = [await room.archive(session_id, 1, generation) for generation in (1, 2, 3)]
        await room.session(session_id, refs[-1])
    room.archives = Failing(room.archives)
    with capture_logs() as logs, pytest.raises(ObjectStoreUnavailableError):
        await room.thin()
    assert len([line for line in logs if line["event"] == "old archives stay"]) == 5
