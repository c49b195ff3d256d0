"""Marks follow what Redis says is wanted, whatever fails or dies in between, and unchanged sessions cost nothing."""

import asyncio
from datetime import timedelta

import pytest

from daemon.coordinator.marking import MarkKeeper
from daemon.core.clock import utc_now
from daemon.core.errors import ObjectStoreUnavailableError, RedisUnavailableError
from daemon.core.ids import new_id
from daemon.objectstore.archives import Archives
from daemon.objectstore.marks import Mark
from daemon.registry.records import Records
from daemon.sessions.states import Desired
from tests.integration.coordinator.conftest import Room


def keeper(room: Room, stop: asyncio.Event | None = None) -> MarkKeeper:
    return MarkKeeper(room.registry, room.archives, room.leadership, stop or asyncio.Event())


async def look(room: Room, marks: MarkKeeper) -> None:
    """What the reconcile loop and the loop of the marks do."""
    marks.see(await room.registry.records.all())
    await marks.cycle()


async def said(room: Room, session_id: str, workspace_id: str = "ws") -> str | None:
    mark = await room.archives.get_mark(workspace_id, session_id)
    return mark.text if mark else None


async def wish(room: Room, session_id: str, **fields: object) -> None:
    await room.registry.records.write_wish(session_id, fields)


def asked(room: Room) -> tuple[int, int, int]:
    usage = room.archives.usage()
    return (usage.class_a, usage.class_b, usage.deletes)


async def test_a_mark_follows_every_wish(room: Room, session_id: str) -> None:
    marks = keeper(room)
    await room.session(session_id, None)
    for fields, text in (
        ({"desired": Desired.RUNNING}, None),
        ({"desired": Desired.STOPPED}, "stopped:0"),
        ({"desired": Desired.RUNNING}, None),
        ({"void_token": 4}, "running:4"),
        ({"desired": Desired.STOPPED}, "stopped:4"),
        ({"desired": Desired.DELETED}, "deleted:4"),
    ):
        await wish(room, session_id, **fields)
        await look(room, marks)
        assert await said(room, session_id) == text
        assert (await room.registry.records.get(session_id)).marked == text


async def test_sessions_whose_wish_has_not_changed_cost_no_request(room: Room, session_id: str) -> None:
    await room.session(session_id, None)
    await room.session(stopped := new_id("s"), None, desired=Desired.STOPPED)
    await room.session(voided := new_id("s"), None, void_token=3)
    grave = await room.tombstone(new_id("s"), 2)
    await look(room, marks := keeper(room))
    assert [await said(room, one) for one in (session_id, stopped, voided, grave.session_id)] == [
        None, "stopped:0", "running:3", "deleted:2",
    ]  # fmt: skip
    before = asked(room)
    await look(room, marks)
    assert asked(room) == before
    # Another coordinator reads what tombstones' marks say once, and writes nothing.
    other = keeper(room)
    await look(room, other)
    await look(room, other)
    assert asked(room) == (before[0], before[1] + 1, before[2])


async def test_what_is_deleted_stays_marked_until_its_archives_are_gone(room: Room, session_id: str) -> None:
    await room.archive(session_id, 3, 1)
    await room.session(session_id, None, desired=Desired.DELETED)
    marks = keeper(room)
    await look(room, marks)
    await room.registry.records.forget(session_id)
    young = await room.tombstone(session_id, 3, age_ms=0)
    await look(room, marks)
    await room.retention().cycle()
    assert await said(room, session_id) == "deleted:3"
    assert await room.kept(session_id) == [(3, 1)]
    await room.registry.tombstones.remove(young)
    await room.tombstone(session_id, 3)
    await room.retention().cycle()
    assert await room.kept(session_id) == []
    assert await said(room, session_id) is None
    await look(room, marks)
    assert await said(room, session_id) is None


async def test_a_mark_outlives_the_burial_while_an_archive_or_a_record_is_left(room: Room) -> None:
    newer, lives = new_id("s"), new_id("s")
    await room.archive(newer, 3, 1)
    await room.archive(newer, 4, 1)
    await room.tombstone(newer, 3)
    await room.archive(lives, 3, 1)
    await room.session(lives, None, void_token=3)
    await room.tombstone(lives, 3)
    await look(room, keeper(room))
    await room.retention().cycle()
    assert await room.registry.tombstones.all() == []
    assert [await said(room, one) for one in (newer, lives)] == ["deleted:3", "running:3"]


async def test_a_session_that_was_made_again_is_marked_by_its_record_not_by_its_tombstone(
    room: Room, session_id: str
) -> None:
    await room.tombstone(session_id, 3, age_ms=0)
    marks = keeper(room)
    await look(room, marks)
    assert await said(room, session_id) == "deleted:3"
    await room.session(session_id, None, void_token=3)
    await look(room, marks)
    assert await said(room, session_id) == "running:3"
    await look(room, keeper(room))
    assert await said(room, session_id) == "running:3"


async def test_the_tombstone_of_another_workspace_is_marked_beside_the_session_of_the_same_id(
    room: Room, session_id: str
) -> None:
    await room.tombstone(session_id, 3, age_ms=0)
    await room.session(session_id, None, workspace_id="other")
    await look(room, keeper(room))
    assert await said(room, session_id) == "deleted:3"
    assert await said(room, session_id, "other") is None


async def test_a_death_between_the_mark_and_its_note_writes_it_once_more(
    room: Room, session_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await room.session(session_id, None, desired=Desired.STOPPED)

    async def dead(self: Records, session_id: str, fields: object, **_: object) -> None:
        raise RedisUnavailableError("dead")

    with monkeypatch.context() as patched:
        patched.setattr(Records, "write_wish", dead)
        with pytest.raises(RedisUnavailableError):
            await look(room, keeper(room))
    assert await said(room, session_id) == "stopped:0"
    assert (await room.registry.records.get(session_id)).marked is None
    await look(room, keeper(room))
    assert (await room.registry.records.get(session_id)).marked == "stopped:0"


class OneBad(Archives):
    """Archives that cannot be told anything of one session."""

    def __init__(self, other: Archives, bad: str) -> None:
        self.__dict__ = other.__dict__
        self.bad: str | None = bad

    async def put_mark(self, workspace_id: str, session_id: str, mark: Mark) -> None:
        if session_id == self.bad:
            raise ObjectStoreUnavailableError("away")
        await super().put_mark(workspace_id, session_id, mark)


async def test_one_mark_that_cannot_be_written_does_not_stop_the_others_and_is_tried_again(room: Room) -> None:
    bad, good = sorted(new_id("s") for _ in range(2))
    for session_id in (bad, good):
        await room.session(session_id, None, desired=Desired.STOPPED)
    grave = await room.tombstone(new_id("s"), 1)
    one_bad = OneBad(room.archives, bad)
    marks = MarkKeeper(room.registry, one_bad, room.leadership, asyncio.Event())
    with pytest.raises(ObjectStoreUnavailableError):
        await look(room, marks)
    assert [await said(room, one) for one in (bad, good, grave.session_id)] == [None, "stopped:0", "deleted:1"]
    one_bad.bad = None
    await marks.cycle()
    assert await said(room, bad) == "stopped:0"


class Hanging(Archives):
    """Archives whose store never answers."""

    def __init__(self, other: Archives) -> None:
        self.__dict__ = other.__dict__
        self.asked = asyncio.Event()

    async def put_mark(self, workspace_id: str, session_id: str, mark: Mark) -> None:
        self.asked.set()
        await asyncio.Event().wait()


async def test_a_store_that_hangs_ends_with_the_coordinator(room: Room, session_id: str) -> None:
    await room.session(session_id, None, desired=Desired.STOPPED)
    stop, hanging = asyncio.Event(), Hanging(room.archives)
    marks = MarkKeeper(room.registry, hanging, room.leadership, stop)
    marks.see(await room.registry.records.all())
    assert marks.wake.is_set()
    cycle = asyncio.create_task(marks.cycle())
    await asyncio.wait_for(hanging.asked.wait(), 10)
    stop.set()
    await asyncio.wait_for(cycle, 10)


async def test_only_the_leader_writes_marks(room: Room, session_id: str) -> None:
    await room.session(session_id, None, desired=Desired.STOPPED)
    marks = keeper(room)
    await room.leadership.give_up()
    await look(room, marks)
    assert await said(room, session_id) is None
    assert await room.leadership.keep()
    await look(room, marks)
    assert await said(room, session_id) == "stopped:0"


async def test_the_end_of_a_login_keeps_its_time(room: Room, session_id: str) -> None:
    grave = await room.tombstone(session_id, 2, age_ms=5000)
    await look(room, keeper(room))
    mark = await room.archives.get_mark("ws", session_id)
    assert mark is not None
    assert abs(mark.at - grave.at) < timedelta(milliseconds=1)
    assert mark.at < utc_now()
