"""The journal of a run on a real disk: what is told goes, what a process left is told by another, once."""

import asyncio
import os
from collections import deque
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from pydantic import SecretStr
from structlog.testing import capture_logs

from daemon.core.clock import utc_now
from daemon.core.errors import RedisUnavailableError
from daemon.core.loops import cancel_all
from daemon.core.sections import RedisSettings
from daemon.registry.events import EventStream
from daemon.registry.link import RedisLink
from daemon.registry.outbox import Outbox
from daemon.sessions.events import Event, EventKind
from daemon.sessions.record import SessionRecord
from shards.journal import Journal, Journals, _read
from shards.publisher import Publisher


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


async def test_what_was_told_before_a_kill_is_not_told_again_although_the_journal_was_not_empty(
    link: RedisLink, tmp_path: Path
) -> None:
    stream, outbox = EventStream(link), Outbox(link)
    await outbox.join(["laravel"])
    journals = Journals(tmp_path / "untold", stream)
    journal = journals.of("s", 3)
    events = [event(number) for number in range(300)]
    for one in events:
        assert journal.add(one)
    for one in events[:250]:  # more than Redis remembers
        await stream.publish(one)
        await stream.note_told(one)
        journal.told(one)
    await stream.publish(events[250])
    await stream.note_told(events[250])  # killed here: Redis has it, and the mark is missing
    assert journal.close() == 50
    await journals.sweep()
    told: list[int] = []
    while got := await numbers(outbox):
        told += got
    assert told == list(range(300))


def test_the_work_for_an_event_does_not_grow_with_what_waits_and_the_files_go(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "s~3")
    waiting: deque[Event] = deque()
    for number in range(12_000):
        waiting.append(event(number))
        journal.add(waiting[-1])
        if len(waiting) > 1000:  # Redis is always a thousand behind
            journal.told(waiting.popleft())
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) < 1024 * 1024
    while waiting:
        journal.told(waiting.popleft())
    assert journal.close() == 0
    assert list(tmp_path.iterdir()) == []


def test_an_event_is_whole_although_the_one_before_was_cut_off_by_a_full_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = Journal(tmp_path / "s~3")
    assert journal.add(event(0))
    with monkeypatch.context() as full:
        write = os.write
        full.setattr(os, "write", lambda file, text: write(file, text[: len(text) // 2]))
        assert not journal.add(event(1))
        assert not journal.add(event(2))
    assert journal.add(event(3))
    assert journal.close() == 2
    with (tmp_path / "s~3").open("rb") as left:
        assert [one.data["n"] for one in _read("s", left.fileno())] == [0, 3]


async def test_what_is_neither_told_nor_on_disk_is_counted_as_lost_loudly(link: RedisLink, tmp_path: Path) -> None:
    (tmp_path / "untold").mkdir(mode=0o700)
    full = Journals(tmp_path / "untold", EventStream(link)).of("s/../x", 3)  # a name that no file can have
    record = SessionRecord(session_id="s", workspace_id="7", user_id="1", created_at=utc_now(), status_at=utc_now())
    publisher = Publisher(EventStream(link), record, may_tell=lambda: False, journal=full)
    task = asyncio.create_task(publisher.run())
    with capture_logs() as lines:
        publisher.tell_at_once(EventKind.MESSAGE, {"id": "m"}, identity="m")
        assert not await publisher.drained(timeout_s=5)
    await cancel_all([task])
    assert publisher.lost == 1
    assert [line["log_level"] for line in lines] == ["error", "error", "error"]
