"""API tokens over a real Redis and real S3 servers: made here, known there, and back after Redis lost everything."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from structlog.testing import capture_logs

from daemon.coordinator.tokens import TokenDesk, TokenKeeper
from daemon.core.clock import utc_now
from daemon.core.errors import RedisUnavailableError, TokenNotFoundError, UnavailableError
from daemon.core.tokens import Scope
from daemon.objectstore.archives import Archives
from daemon.objectstore.config import object_store_config
from daemon.objectstore.tokens import BUCKET_ID_KEY, token_key
from daemon.registry.registry import Registry
from tests.integration.coordinator.conftest import Room, settings_for


def _keeper(room: Room) -> TokenKeeper:
    return TokenKeeper(room.registry, room.archives, room.leadership)


async def _make(desk: TokenDesk, **more: object) -> tuple[str, str]:
    wanted: dict[str, object] = {
        "name": "n", "scopes": frozenset({Scope.SEND}), "workspaces": frozenset({"7"}), "expires_at": None,
    }  # fmt: skip
    token, text = await desk.create(**(wanted | more))  # type: ignore[arg-type]  # as given
    return token.token_id, text


def _damage(room: Room, key: str) -> None:
    room.bucket.small.put(key, b"{\xff", content_type="application/json")


@pytest.fixture
async def desks(room: Room) -> tuple[TokenDesk, TokenDesk]:
    """Two coordinators' desks; the leader has compared Redis with the bucket."""
    async for token_id in room.archives.token_ids():  # the tests share a bucket
        await room.archives.drop_token(token_id)
    await _keeper(room).cycle()
    return TokenDesk(room.registry, room.archives), TokenDesk(room.registry, room.archives)


async def test_a_token_works_at_every_coordinator_until_it_is_revoked(
    room: Room, desks: tuple[TokenDesk, TokenDesk], monkeypatch: pytest.MonkeyPatch
) -> None:
    here, there = desks
    token_id, text = await _make(here)
    for desk in desks:
        found = await desk.find(text)
        assert found is not None
        assert (found.token_id, found.granted, found.workspaces) == (token_id, {Scope.READ, Scope.SEND}, {"7"})
    assert await there.find(text[:-1] + ("A" if text[-1] != "A" else "B")) is None
    assert text not in str(await room.registry.tokens.known())
    kept = await room.archives.get_token(token_id)
    assert kept is not None
    assert text not in repr(kept)
    await here.revoke(token_id)
    assert await here.find(text) is None
    monkeypatch.setattr("daemon.coordinator.tokens._FRESH_S", 0.0)
    monkeypatch.setattr("daemon.coordinator.tokens._AGAIN_S", 0.0)
    assert await there.find(text) is None
    await here.revoke(token_id)
    with pytest.raises(TokenNotFoundError):
        await here.revoke("none")
    assert await here.all() == []


async def test_an_expired_token_works_no_more(desks: tuple[TokenDesk, TokenDesk]) -> None:
    _, text = await _make(desks[0], expires_at=utc_now() - timedelta(seconds=1))
    assert await desks[0].find(text) is None


async def test_tokens_come_back_after_redis_was_emptied_and_revoked_ones_do_not(
    room: Room, desks: tuple[TokenDesk, TokenDesk]
) -> None:
    _, text = await _make(desks[0])
    gone_id, gone = await _make(desks[0])
    await desks[0].revoke(gone_id)
    await room.registry.link.text.flushdb()
    fresh = TokenDesk(room.registry, room.archives)
    with pytest.raises(RedisUnavailableError):
        await fresh.find(text)  # nobody knows yet: that is not a 401
    await room.leadership.keep()
    await _keeper(room).cycle()
    assert await fresh.find(text) is not None
    assert await fresh.find(gone) is None


async def test_a_revocation_that_redis_forgot_stands(room: Room, desks: tuple[TokenDesk, TokenDesk]) -> None:
    token_id, text = await _make(desks[0])
    before = (await room.registry.tokens.known())[token_id]
    await desks[0].revoke(token_id)
    await room.registry.tokens.put(before)  # as a Redis that fell back to an older dump has it
    await _keeper(room).cycle()
    assert await TokenDesk(room.registry, room.archives).find(text) is None


async def test_a_token_that_the_bucket_has_damaged_works_on_and_is_written_again(
    room: Room, desks: tuple[TokenDesk, TokenDesk]
) -> None:
    token_id, text = await _make(desks[0])
    _damage(room, token_key(token_id))
    with capture_logs() as lines:
        await _keeper(room).cycle()
    assert ("error", token_id) in [(line["log_level"], line.get("token_id")) for line in lines]
    assert await TokenDesk(room.registry, room.archives).find(text) is not None
    await room.registry.link.text.flushdb()
    await room.leadership.keep()
    await _keeper(room).cycle()
    assert await TokenDesk(room.registry, room.archives).find(text) is not None


async def test_a_revoked_token_does_not_come_back_from_a_damaged_object(
    room: Room, desks: tuple[TokenDesk, TokenDesk]
) -> None:
    token_id, text = await _make(desks[0])
    await desks[0].revoke(token_id)
    _damage(room, token_key(token_id))
    await _keeper(room).cycle()
    assert await room.archives.get_token(token_id) is None
    assert await TokenDesk(room.registry, room.archives).find(text) is None


async def test_a_damaged_token_that_redis_does_not_have_does_not_work_and_is_left_to_people(
    room: Room, desks: tuple[TokenDesk, TokenDesk]
) -> None:
    token_id, text = await _make(desks[0])
    _damage(room, token_key(token_id))
    await room.registry.link.text.flushdb()
    await room.leadership.keep()
    await _keeper(room).cycle()
    assert await TokenDesk(room.registry, room.archives).find(text) is None
    assert [found async for found in room.archives.token_ids()] == [token_id]


@pytest.mark.parametrize("bucket", ["empty", "another one's", "with an id that cannot be read"])
async def test_a_bucket_that_was_not_compared_before_revokes_nothing(
    room: Room, desks: tuple[TokenDesk, TokenDesk], bucket: str
) -> None:
    token_id, text = await _make(desks[0])
    gone_id, gone = await _make(desks[0])
    await desks[0].revoke(gone_id)
    await room.archives.drop_token(token_id)
    if bucket == "empty":
        room.bucket.delete(BUCKET_ID_KEY)
    elif bucket == "another one's":
        await room.archives.put_bucket_id("another")
    else:
        _damage(room, BUCKET_ID_KEY)
    await _keeper(room).cycle()
    desk = TokenDesk(room.registry, room.archives)
    assert await desk.find(text) is not None
    assert await desk.find(gone) is None
    assert [found async for found in room.archives.token_ids()] == [token_id]
    # From now on it is the bucket of this Redis, and what it does not have was revoked.
    await room.archives.drop_token(token_id)
    await _keeper(room).cycle()
    assert await TokenDesk(room.registry, room.archives).find(text) is None


async def test_the_id_of_a_bucket_stays(room: Room, desks: tuple[TokenDesk, TokenDesk]) -> None:
    bucket_id = await room.archives.get_bucket_id()
    assert bucket_id is not None
    await room.registry.link.text.flushdb()
    await room.leadership.keep()
    await _keeper(room).cycle()
    assert await room.archives.get_bucket_id() == bucket_id == await room.registry.tokens.synced()


async def test_a_revocation_while_the_bucket_is_away_counts_and_is_finished_later(
    room: Room, desks: tuple[TokenDesk, TokenDesk]
) -> None:
    token_id, text = await _make(desks[0])
    settings = settings_for("redis://127.0.0.1:1")
    nowhere = object_store_config(settings.object_store.model_copy(update={"endpoint_setting": "http://127.0.0.1:9"}))
    with ThreadPoolExecutor(1) as threads:
        cut_off = TokenDesk(room.registry, Archives(nowhere, threads))
        with pytest.raises(UnavailableError):
            await cut_off.revoke(token_id)
        with pytest.raises(UnavailableError):
            await _make(cut_off)
    assert await TokenDesk(room.registry, room.archives).find(text) is None
    await _keeper(room).cycle()
    assert await room.archives.get_token(token_id) is None


async def test_who_was_known_is_let_in_while_redis_is_away_and_nobody_else(
    room: Room, desks: tuple[TokenDesk, TokenDesk], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, text = await _make(desks[0])
    _, other = await _make(desks[0])
    desk = TokenDesk(room.registry, room.archives)
    assert await desk.find(text) is not None
    _, late = await _make(desks[0])
    away = Registry(settings_for("redis://127.0.0.1:1"))
    monkeypatch.setattr(desk, "_registry", away)
    monkeypatch.setattr("daemon.coordinator.tokens._FRESH_S", 0.0)
    monkeypatch.setattr("daemon.coordinator.tokens._AGAIN_S", 0.0)
    assert await desk.find(text) is not None
    assert await desk.find(other) is not None
    with pytest.raises(RedisUnavailableError):
        await desk.find(late)
    monkeypatch.setattr("daemon.coordinator.tokens._STALE_S", -1.0)
    with pytest.raises(RedisUnavailableError):
        await desk.find(text)
    await away.close()


async def test_what_was_revoked_while_the_bucket_was_away_is_removed_from_it_as_soon_as_it_is_back(
    room: Room, desks: tuple[TokenDesk, TokenDesk], monkeypatch: pytest.MonkeyPatch
) -> None:
    keeper = _keeper(room)
    await keeper.cycle()
    token_id, text = await _make(desks[0])
    settings = settings_for("redis://127.0.0.1:1")
    nowhere = object_store_config(settings.object_store.model_copy(update={"endpoint_setting": "http://127.0.0.1:9"}))
    with ThreadPoolExecutor(1) as threads, pytest.raises(UnavailableError):
        await TokenDesk(room.registry, Archives(nowhere, threads)).revoke(token_id)
    assert await room.archives.get_token(token_id) is not None
    await keeper.cycle()
    assert await room.archives.get_token(token_id) is None
    await room.registry.link.text.flushdb()
    await room.leadership.keep()
    await keeper.cycle()
    assert await TokenDesk(room.registry, room.archives).find(text) is None


async def test_while_redis_is_new_nobody_is_told_that_there_is_no_such_token(
    room: Room, desks: tuple[TokenDesk, TokenDesk]
) -> None:
    token_id, _ = await _make(desks[0])
    await room.registry.link.text.flushdb()
    with pytest.raises(RedisUnavailableError):
        await desks[0].revoke(token_id)
    with pytest.raises(RedisUnavailableError):
        await desks[0].all()
