"""The queue of one shard: order, limits, and cancellation that leaves nothing behind. Pauses pass at once here."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import structlog.testing

from shards.admission import admission
from shards.admission.admission import Admission, Slot
from shards.admission.host_slots import HostSlots
from shards.admission.rules import HostReading, StartLimits

NOW = datetime(2026, 1, 1, tzinfo=UTC)
IDLE = HostReading(available_bytes=10**11, cpu_waited_share=0.0, load_per_cpu=0.0, loop_lag_ms=0.0)
LIMITS = StartLimits(host_parallel_starts=4, session_memory_bytes=10**8, min_free_memory_bytes=5 * 10**8)
SATURATED = replace(IDLE, cpu_waited_share=1.0, load_per_cpu=99.0)
NO_MEMORY = replace(IDLE, available_bytes=5 * 10**8)


class Shard:
    """An admission whose host shows what the test says."""

    def __init__(self, directory: Path, *, parallel: int = 2, limits: StartLimits = LIMITS) -> None:
        self.reading = IDLE
        self.order: list[str] = []
        self.slots: dict[str, Slot] = {}
        self.tasks: dict[str, asyncio.Task[None]] = {}
        self.looks = 0
        self.admission = Admission(
            HostSlots(directory, stuck_after_s=1000),
            limits,
            parallel_starts=parallel,
            read=lambda: self.reading,
            pause=self._pause,
        )

    async def _pause(self, _seconds: float) -> None:
        self.looks += 1
        await asyncio.sleep(0)

    def come(self, *session_ids: str, minutes_ago: int | None = None) -> None:
        active_at = None if minutes_ago is None else NOW - timedelta(minutes=minutes_ago)
        for session_id in session_ids:
            self.tasks[session_id] = asyncio.create_task(self._enter(session_id, active_at))

    async def _enter(self, session_id: str, active_at: datetime | None) -> None:
        self.slots[session_id] = await self.admission.enter(session_id, active_at=active_at)
        self.order.append(session_id)

    def leave(self, session_id: str) -> None:
        self.slots.pop(session_id).leave()

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(30):
            while not condition():
                await asyncio.sleep(0)

    async def looked(self, times: int = 20) -> None:
        """Wait until the queue was looked at so many times more."""
        seen = self.looks
        await self.until(lambda: self.looks >= seen + times)

    async def end(self) -> None:
        for task in self.tasks.values():
            task.cancel()
        await asyncio.gather(*self.tasks.values(), return_exceptions=True)


@pytest.fixture
async def shard(tmp_path: Path):
    made = Shard(tmp_path / "starts")
    yield made
    await made.end()


async def test_no_more_than_the_shard_may_start_at_once(shard: Shard) -> None:
    shard.come("a", "b", "c", minutes_ago=1)
    await shard.until(lambda: len(shard.order) == 2)
    await shard.looked()
    assert (shard.admission.active, shard.admission.waiting) == (2, 1)
    shard.leave(shard.order[0])
    await shard.until(lambda: len(shard.order) == 3)
    assert (shard.admission.active, shard.admission.waiting) == (2, 0)


async def test_those_that_come_together_start_most_recently_active_first(tmp_path: Path) -> None:
    shard = Shard(tmp_path, parallel=1)
    for session_id, minutes in {"old": 50, "never": None, "newest": 1, "new": 5}.items():
        shard.come(session_id, minutes_ago=minutes)
    for count in range(1, 5):
        await shard.until(lambda count=count: len(shard.order) == count)
        shard.leave(shard.order[-1])
    assert shard.order == ["newest", "new", "old", "never"]


async def test_a_slot_is_given_back_once(shard: Shard) -> None:
    shard.come("a", "b")
    await shard.until(lambda: len(shard.order) == 2)
    slot = shard.slots["a"]
    slot.leave()
    slot.leave()
    assert shard.admission.active == 1


async def test_who_is_cancelled_while_waiting_leaves_no_place(shard: Shard) -> None:
    shard.come("a", "b", "gone", minutes_ago=5)
    await shard.until(lambda: len(shard.order) == 2)
    waiting = next(i for i in shard.tasks if i not in shard.order)
    shard.tasks[waiting].cancel()
    await shard.until(shard.tasks[waiting].cancelled)
    assert shard.admission.waiting == 0
    for session_id in list(shard.slots):
        shard.leave(session_id)
    shard.come("later")
    await shard.until(lambda: "later" in shard.order)
    assert shard.admission.active == 1


async def test_who_is_cancelled_in_the_moment_of_admission_leaves_no_slot(shard: Shard, monkeypatch) -> None:
    taken: list[bool] = []
    admit = shard.admission._admit_one

    def admit_and_cancel() -> bool:
        done = admit()
        if done and not taken:
            taken.append(True)
            shard.tasks["a"].cancel()  # its turn has come, and its task has not run since
        return done

    monkeypatch.setattr(shard.admission, "_admit_one", admit_and_cancel)
    shard.come("a")
    await shard.until(lambda: shard.tasks["a"].done())
    assert shard.tasks["a"].cancelled() and taken
    assert (shard.admission.active, shard.admission.waiting) == (0, 0)
    assert shard.admission._host_slots.under_way() == 0


async def test_two_shards_of_a_host_share_its_limit(tmp_path: Path) -> None:
    one, other = Shard(tmp_path, parallel=3), Shard(tmp_path, parallel=3)
    one.come("a", "b", "c")
    await one.until(lambda: len(one.order) == 3)
    other.come("d", "e")
    await other.until(lambda: len(other.order) == 1)
    await other.looked()
    assert (other.admission.active, other.admission.waiting) == (1, 1)
    one.leave("a")
    await other.until(lambda: len(other.order) == 2)
    await other.end()


async def test_without_memory_nobody_starts_and_it_is_said_once(shard: Shard) -> None:
    shard.reading = NO_MEMORY
    with structlog.testing.capture_logs() as logs:
        shard.come("a", "b")
        await shard.looked(50)
        assert shard.order == []
        shard.reading = IDLE
        await shard.until(lambda: len(shard.order) == 2)
        await shard.until(lambda: len(logs) == 2)
    assert logs[0]["event"] == "starts wait: the host has 500 MB left, and 500 MB must stay free"
    assert logs[1]["event"] == "starts no longer wait for the host"


async def test_on_a_saturated_host_one_at_a_time_and_never_none(tmp_path: Path) -> None:
    shard = Shard(tmp_path, parallel=4)
    shard.reading = SATURATED
    shard.come("a", "b", "c")
    for count in (1, 2, 3):
        await shard.until(lambda count=count: len(shard.order) == count)
        if count < 3:
            await shard.looked()
        assert shard.admission.active == 1
        shard.leave(shard.order[-1])


async def test_memory_for_two_lets_two_start(tmp_path: Path) -> None:
    shard = Shard(tmp_path, parallel=4)
    shard.reading = replace(IDLE, available_bytes=LIMITS.min_free_memory_bytes + 2 * LIMITS.session_memory_bytes)
    shard.come("a", "b", "c")
    await shard.until(lambda: len(shard.order) == 2)
    await shard.looked()
    assert shard.admission.active == 2
    await shard.end()


async def test_slots_that_cannot_be_used_do_not_keep_sessions_from_starting(shard: Shard, monkeypatch) -> None:
    def full(_at_most: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shard.admission._host_slots, "take", full)
    with structlog.testing.capture_logs() as logs:
        shard.come("a", "b", "c")
        await shard.until(lambda: len(shard.order) == 2)
        await shard.looked()
    assert shard.admission.active == 2
    assert [entry["log_level"] for entry in logs] == ["error"]


async def test_a_bug_in_looking_reaches_those_who_wait(shard: Shard) -> None:
    def broken() -> HostReading:
        raise ZeroDivisionError

    shard.admission._read = broken
    shard.come("a")
    await shard.until(lambda: shard.tasks["a"].done())
    assert isinstance(shard.tasks["a"].exception(), ZeroDivisionError)
    assert shard.admission.waiting == 0


async def test_nothing_is_looked_at_while_nobody_waits(shard: Shard) -> None:
    shard.come("a")
    await shard.until(lambda: len(shard.order) == 1)
    looking = shard.admission._looking
    assert looking is not None
    await shard.until(looking.done)


async def test_more_than_a_busy_host_may_start_come_one_by_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admission, "_SHOWS_AFTER_S", 1000.0)
    shard = Shard(tmp_path, parallel=4, limits=replace(LIMITS, busy_starts=2))
    shard.come("a", "b", "c")
    looks = 20
    await shard.until(lambda: shard.looks >= looks)
    assert len(shard.order) == 2
    monkeypatch.setattr(admission, "_SHOWS_AFTER_S", 0.0)
    await shard.until(lambda: len(shard.order) == 3)
    for session_id in ("a", "b", "c"):
        shard.leave(session_id)


async def test_the_shards_of_a_host_come_one_by_one_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admission, "_SHOWS_AFTER_S", 1000.0)
    limits = replace(LIMITS, busy_starts=2)
    first, second = (Shard(tmp_path, parallel=4, limits=limits) for _ in range(2))
    first.come("a", "b")
    await first.until(lambda: len(first.order) == 2)
    second.come("c")
    looks = 20
    await second.until(lambda: second.looks >= looks)
    assert second.order == []
    monkeypatch.setattr(admission, "_SHOWS_AFTER_S", 0.0)
    await second.until(lambda: second.order == ["c"])
    for session_id in ("a", "b"):
        first.leave(session_id)
    second.leave("c")
