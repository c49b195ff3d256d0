"""Retention as a coordinator runs it: ended logins go after their grace, thinning comes round, only the leader acts."""

import asyncio
from collections.abc import Callable

import pytest

from daemon.core.clock import mono_s
from daemon.core.errors import ObjectNotFoundError, ObjectStoreUnavailableError
from daemon.core.ids import new_id
from daemon.objectstore.archives import Archives
from daemon.objectstore.catalogue import ArchiveRef
from tests.integration.coordinator.conftest import Room


async def stands(room: Room, key: str) -> bool:
    try:
        await room.archives.facts(key)
    except ObjectNotFoundError:
        return False
    return True


def legacy_zips(room: Room, session_id: str) -> list[str]:
    """One in the workspace's folder and one in no workspace's."""
    return [room.put(key.format(session_id)) for key in ("workspace_ws/{}.zip", "sessions/RemoteAuth-{}.zip")]


async def test_an_ended_login_leaves_no_archive_and_no_legacy_zip(room: Room, session_id: str) -> None:
    for order in ((1, 1), (2, 2), (2, 3)):
        await room.archive(session_id, *order)
    zips = legacy_zips(room, session_id)
    await room.tombstone(session_id, 2)
    await room.retention().cycle()
    assert await room.kept(session_id) == []
    assert not any([await stands(room, key) for key in zips])
    assert await room.registry.tombstones.all() == []


async def test_within_its_grace_an_ended_login_keeps_all(room: Room, session_id: str) -> None:
    await room.archive(session_id, 1, 1)
    zips = legacy_zips(room, session_id)
    await room.tombstone(session_id, 1, age_ms=1000)
    await room.retention().cycle()
    assert await room.kept(session_id) == [(1, 1)]
    assert all([await stands(room, key) for key in zips])
    assert len(await room.registry.tombstones.all()) == 1


async def test_of_a_session_linked_again_only_the_ended_login_goes(room: Room, session_id: str) -> None:
    refs = [await room.archive(session_id, *order) for order in ((1, 1), (2, 2), (3, 3))]
    zips = legacy_zips(room, session_id)
    await room.session(session_id, refs[-1], void_token=2)
    await room.tombstone(session_id, 2)
    await room.retention().cycle()
    assert await room.kept(session_id) == [(3, 3)]
    assert not any([await stands(room, key) for key in zips])


async def test_no_tombstone_takes_what_a_living_record_does_not_call_void(room: Room, session_id: str) -> None:
    refs = [await room.archive(session_id, *order) for order in ((1, 1), (2, 2))]
    await room.session(session_id, refs[-1], void_token=1)
    await room.tombstone(session_id, 2)
    await room.retention().cycle()
    assert await room.kept(session_id) == [(2, 2)]


async def test_a_session_deleted_before_it_ran_and_made_again_keeps_the_zip_it_counts_on(
    room: Room, session_id: str
) -> None:
    zips = legacy_zips(room, session_id)
    await room.session(session_id, None)
    await room.tombstone(session_id, 0)
    await room.retention().cycle()
    assert all([await stands(room, key) for key in zips])
    assert await room.registry.tombstones.all() == []


async def test_a_session_deleted_before_it_ran_and_not_made_again_leaves_no_zip(room: Room, session_id: str) -> None:
    zips = legacy_zips(room, session_id)
    await room.tombstone(session_id, 0)
    await room.retention().cycle()
    assert not any([await stands(room, key) for key in zips])


async def test_a_zip_that_may_be_of_the_same_id_in_another_workspace_stays(room: Room, session_id: str) -> None:
    own, common = legacy_zips(room, session_id)
    await room.session(session_id, None, workspace_id="other")
    await room.tombstone(session_id, 3)
    await room.retention().cycle()
    assert not await stands(room, own)
    assert await stands(room, common)


class Slow(Archives):
    """Archives during whose removal something happens."""

    def __init__(self, real: Archives, meanwhile: Callable[[], object]) -> None:
        self.__dict__.update(real.__dict__)
        self._meanwhile = meanwhile

    async def delete(self, ref: ArchiveRef) -> None:
        await Archives.delete(self, ref)
        done = self._meanwhile()
        if asyncio.iscoroutine(done):
            await done


async def test_a_login_that_ends_during_the_removal_keeps_its_tombstone(room: Room, session_id: str) -> None:
    for order in ((1, 1), (2, 2)):
        await room.archive(session_id, *order)
    await room.tombstone(session_id, 1)
    room.archives = Slow(room.archives, lambda: room.tombstone(session_id, 2, age_ms=0))
    await room.retention().cycle()
    (left,) = await room.registry.tombstones.all()
    assert (left.void_token, await room.kept(session_id)) == (2, [(2, 2)])


async def test_a_stop_ends_the_removal_and_keeps_the_tombstone(room: Room, session_id: str) -> None:
    for order in ((1, 1), (1, 2)):
        await room.archive(session_id, *order)
    await room.tombstone(session_id, 1)
    stop = asyncio.Event()
    room.archives = Slow(room.archives, stop.set)
    await room.retention(stop).cycle()
    assert len(await room.kept(session_id)) == 1
    assert len(await room.registry.tombstones.all()) == 1


async def test_a_coordinator_that_does_not_lead_removes_nothing(room: Room, session_id: str) -> None:
    refs = [await room.archive(session_id, 1, generation) for generation in (1, 2, 3)]
    await room.session(session_id, refs[-1], void_token=1)
    await room.tombstone(session_id, 1)
    await room.leadership.give_up()
    await room.retention().cycle()
    assert len(await room.kept(session_id)) == 3
    assert await room.leadership.keep()
    await room.retention().cycle()
    assert await room.kept(session_id) == []


class OneBad(Archives):
    """Archives whose store fails for one session."""

    def __init__(self, real: Archives, bad: str) -> None:
        self.__dict__.update(real.__dict__)
        self._bad = bad

    async def newest_first(self, workspace_id: str, session_id: str) -> tuple[ArchiveRef, ...]:
        if session_id == self._bad:
            raise ObjectStoreUnavailableError("away")
        return await Archives.newest_first(self, workspace_id, session_id)


async def test_one_ended_login_that_cannot_be_removed_does_not_stop_the_others(room: Room) -> None:
    bad, good = new_id("s"), new_id("s")
    for session_id in (bad, good):
        await room.archive(session_id, 1, 1)
        await room.tombstone(session_id, 1)
    real, room.archives = room.archives, OneBad(room.archives, bad)
    await room.retention().cycle()
    room.archives = real
    assert (await room.kept(bad), await room.kept(good)) == ([(1, 1)], [])
    assert [left.session_id for left in await room.registry.tombstones.all()] == [bad]


async def test_thinning_comes_round_once_in_its_interval(
    room: Room, session_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    retention = room.retention()

    refs = [await room.archive(session_id, 1, generation) for generation in (1, 2, 3)]
    await room.session(session_id, refs[-1])
    await retention.cycle()
    assert len(await room.kept(session_id)) == 2
    await room.archive(session_id, 1, 4)
    await room.registry.link.text.flushdb()
    await room.session(session_id, refs[-1])
    await retention.cycle()
    assert len(await room.kept(session_id)) == 3, "not yet"
    now_mono_s = mono_s()
    monkeypatch.setattr("daemon.coordinator.retention.mono_s", lambda: now_mono_s + 3601)
    await retention.cycle()
    assert len(await room.kept(session_id)) == 2
