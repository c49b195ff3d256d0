"""The journal of a run on a real disk: what is told goes, what a process left is told by another, once."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from daemon.core.clock import utc_now
from daemon.core.errors import RedisUnavailableError
from daemon.core.sections import RedisSettings
from daemon.registry.events import EventStream
from daemon.registry.link import RedisLink
from daemon.registry.outbox import Outbox
from daemon.sessions.events import Event, EventKind
from shards.journal import Journals


def event(number: int) -> Event:
    return Event(event_id=f"evt_{number}", kind=EventKind.MESSAGE, session_id="s", workspace_id="7", user_id="1",
                 at=utc_now(), data={"body": "ü\n", "n": number})  # fmt: skip


@pytest.fixture
async def link(redis_url: str) -> AsyncIterator[RedisLink]:
    async with RedisLink(RedisSettings(REDIS_URL=SecretStr(redis_url))) as opened:
        await opened.text.flushdb()
        yield opened


async def numbers(outbox: Outbox) -> list[int]:
    return [one.event.data["n"] for one in await outbox.take("laravel", 100, 10)]


async def test_what_a_run_left_is_told_once_by_whoever_finds_it_and_a_run_that_goes_on_is_left_alone(
    link: RedisLink, tmp_path: Path
) -> None:
    stream, outbox = EventStream(link), Outbox(link)
    await outbox.join(["laravel"])
    journals = Journals(tmp_path / "untold", stream)
    await journals.sweep()
    journal = journals.of("s", 3)
    for number in range(4):
        journal.add(event(number))
    journal.told(event(0))
    await stream.note_told(event(0))  # Redis had it, and the journal was not emptied yet
    await journals.sweep()
    assert await numbers(outbox) == []
    with next((tmp_path / "untold").iterdir()).open("ab") as file:
        file.write(b'{"id": "evt_cut')  # as a kill in the middle of a write leaves it
    assert journal.close() == 3
    await journals.sweep()
    assert await numbers(outbox) == [1, 2, 3]
    assert list((tmp_path / "untold").iterdir()) == []


async def test_nothing_stays_of_what_was_told_and_an_outage_loses_nothing(link: RedisLink, tmp_path: Path) -> None:
    journals = Journals(tmp_path / "untold", EventStream(link))
    journal = journals.of("s", 3)
    journal.add(event(1))
    (path,) = (tmp_path / "untold").iterdir()
    assert path.stat().st_mode & 0o777 == 0o600
    journal.told(event(1))
    assert path.read_bytes() == b""
    journal.add(event(2))
    journal.close()
    dead = RedisSettings(REDIS_URL=SecretStr("redis://127.0.0.1:1"), REDIS_TIMEOUT_MS=200)
    async with RedisLink(dead) as away:
        with pytest.raises(RedisUnavailableError):
            await Journals(tmp_path / "untold", EventStream(away)).sweep()
    assert path.read_bytes() != b""
    await journals.sweep()
    assert not path.exists()


async def test_a_full_disk_costs_the_journal_and_no_event(link: RedisLink, tmp_path: Path) -> None:
    (tmp_path / "untold").mkdir(mode=0o700)
    journal = Journals(tmp_path / "untold", EventStream(link)).of("s/../x", 3)  # a name that no file can have
    journal.add(event(1))
    journal.told(event(1))
    assert journal.close() == 0


async def test_several_shards_that_sweep_at_once_tell_everything_once(link: RedisLink, tmp_path: Path) -> None:
    stream, outbox = EventStream(link), Outbox(link)
    await outbox.join(["laravel"])
    for run in range(20):
        journal = Journals(tmp_path / "untold", stream).of("s", run)
        journal.add(event(run))
        journal.close()
    for _ in range(3):
        await asyncio.gather(*(Journals(tmp_path / "untold", stream).sweep() for _ in range(4)))
    assert sorted(await numbers(outbox)) == list(range(20))
