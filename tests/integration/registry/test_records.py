"""Records: two writers, one index, and no write by a holder whose token is old."""

from dataclasses import replace

import pytest

from daemon.core.clock import utc_now
from daemon.core.errors import ConflictError, DamagedError, SessionNotFoundError, StaleTokenError
from daemon.registry import keys
from daemon.registry.placements import Placement
from daemon.sessions.record import CopyFacts, SessionRecord
from daemon.sessions.states import Desired, SessionState
from tests.integration.registry.conftest import Rooms

NOW = utc_now().replace(microsecond=0)


def session(session_id: str = "s-1") -> SessionRecord:
    return SessionRecord(
        session_id=session_id, workspace_id="1", user_id="2", created_at=NOW, status_at=NOW, metadata={"name": "é"}
    )


async def test_a_record_comes_back_as_it_was_written(rooms: Rooms) -> None:
    facts = CopyFacts(at=NOW, size_bytes=9, token=3, generation=4, clean=True, content_digest="d", key="k")
    record = replace(session(), archive=facts, phone="5511999990000", paired=True, scan_allowed=False)
    assert await rooms.records.create(record)
    assert await rooms.records.get("s-1") == record


async def test_creating_twice_keeps_the_first(rooms: Rooms) -> None:
    await rooms.records.create(session())
    assert not await rooms.records.create(replace(session(), user_id="other"))
    assert (await rooms.records.get("s-1")).user_id == "2"


async def test_an_unknown_session_is_not_found(rooms: Rooms) -> None:
    with pytest.raises(SessionNotFoundError):
        await rooms.records.get("nobody")


async def test_pages_follow_the_order_of_ids_and_skip_index_entries_without_a_record(rooms: Rooms) -> None:
    for number in range(5):
        await rooms.records.create(session(f"s-{number}"))
    await rooms.link.text.delete(keys.record("s-1"))
    first, after = await rooms.records.page(None, 3)
    assert ([r.session_id for r in first], after) == (["s-0", "s-2"], "s-2")
    rest, after = await rooms.records.page(after, 3)
    assert ([r.session_id for r in rest], after) == (["s-3", "s-4"], None)
    assert len(await rooms.records.all(page_size=2)) == 4


async def test_a_holder_with_the_newest_token_writes(rooms: Rooms) -> None:
    await rooms.records.create(session())
    lease = await rooms.leases.acquire("s-1", "a", floor=0)
    await rooms.records.write_held("s-1", lease.token, {"status": SessionState.STARTING, "token": lease.token})
    record = await rooms.records.get("s-1")
    assert (record.status, record.token) == (SessionState.STARTING, lease.token)


async def test_a_stale_holder_can_change_nothing(rooms: Rooms) -> None:
    await rooms.records.create(session())
    old = await rooms.leases.acquire("s-1", "shard_00:x:1", floor=0)
    await rooms.leases.acquire("s-1", "shard_00:x:2", floor=0, dead_prefix="shard_00:x:")
    before = await rooms.records.get("s-1")
    with pytest.raises(StaleTokenError):
        await rooms.records.write_held("s-1", old.token, {"status": SessionState.CONNECTED})
    facts = CopyFacts(at=NOW, size_bytes=1, token=old.token, generation=1, clean=False, content_digest="d")
    with pytest.raises(StaleTokenError):
        await rooms.copies.put("s-1", old.token, b"old", facts)
    with pytest.raises(StaleTokenError):
        await rooms.codes.show_qr("s-1", old.token, "text")
    assert await rooms.records.get("s-1") == before
    assert await rooms.copies.get("s-1") is None
    assert await rooms.codes.get("s-1") is None


async def test_writing_to_a_deleted_session_does_not_bring_it_back(rooms: Rooms) -> None:
    lease = await rooms.leases.acquire("s-1", "a", floor=0)
    with pytest.raises(SessionNotFoundError):
        await rooms.records.write_held("s-1", lease.token, {"status": SessionState.STARTING})
    with pytest.raises(SessionNotFoundError):
        await rooms.records.write_wish("s-1", {"desired": Desired.STOPPED})
    assert await rooms.link.text.exists(keys.record("s-1")) == 0


async def test_the_holders_fields_are_written_by_others_only_while_there_is_none(rooms: Rooms) -> None:
    await rooms.records.create(session())
    lease = await rooms.leases.acquire("s-1", "a", floor=0)
    assert not await rooms.records.write_at_rest("s-1", {"status": SessionState.STOPPED})
    await rooms.leases.release(lease)
    assert await rooms.records.write_at_rest("s-1", {"status": SessionState.STOPPED})


async def test_a_held_session_is_not_forgotten_and_its_token_never(rooms: Rooms) -> None:
    await rooms.records.create(session())
    lease = await rooms.leases.acquire("s-1", "a", floor=0)
    with pytest.raises(ConflictError):
        await rooms.records.forget("s-1")
    await rooms.leases.release(lease)
    with pytest.raises(ConflictError):
        await rooms.records.forget("s-1")  # nobody wants it deleted
    await rooms.records.write_wish("s-1", {"desired": Desired.DELETED})
    await rooms.records.forget("s-1")
    assert await rooms.records.all() == []
    assert await rooms.leases.known_token("s-1") == lease.token


async def test_a_placement_that_was_half_made_is_decided_by_the_record(rooms: Rooms) -> None:
    await rooms.records.create(session())
    await rooms.records.place_many([Placement(session_id="s-1", before=None, to="shard_00")])
    await rooms.link.text.sadd(keys.placed("shard_01"), "s-1")
    assert [r.session_id for r in await rooms.records.placed_on("shard_00")] == ["s-1"]
    assert await rooms.records.placed_on("shard_01") == []
    await rooms.records.place_many([Placement(session_id="s-1", before="shard_00", to="shard_01")])
    assert await rooms.records.placed_counts(["shard_00", "shard_01"]) == {"shard_00": 0, "shard_01": 1}


async def test_a_field_that_cannot_be_read_is_named_and_not_shown(rooms: Rooms) -> None:
    await rooms.records.create(session())
    await rooms.link.text.hset(keys.record("s-1"), "status_at", "secret-nonsense")
    with pytest.raises(DamagedError) as raised:
        await rooms.records.get("s-1")
    assert "status_at" in str(raised.value) and "secret" not in str(raised.value)


async def test_a_hot_copy_and_the_record_agree(rooms: Rooms) -> None:
    await rooms.records.create(session())
    lease = await rooms.leases.acquire("s-1", "a", floor=0)
    facts = CopyFacts(at=NOW, size_bytes=4, token=lease.token, generation=1, clean=False, content_digest="d")
    await rooms.copies.put("s-1", lease.token, b"\x00\xff\r\n", facts)
    assert await rooms.copies.get("s-1") == b"\x00\xff\r\n"
    assert (await rooms.records.get("s-1")).hot_copy == facts
