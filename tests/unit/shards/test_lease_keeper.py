"""The holder's deadline: counted from before the call, never prolonged by silence, and enforced without asking."""

import asyncio

import pytest

from daemon.core.errors import RedisUnavailableError
from daemon.registry.leases import Lease, Renewal
from shards import leases as room
from shards.leases import LeaseKeeper

TTL_S, MARGIN_S, RENEW_S = 10.0, 2.0, 3.0
LEASE = Lease(session_id="s", holder="shard_00:x:1", token=7)


class Clock:
    def __init__(self) -> None:
        self.now_mono_s = 1000.0

    def __call__(self) -> float:
        return self.now_mono_s


class Answers:
    """Plays the leases in Redis: one prepared answer a renewal, and a call that takes `takes_s`."""

    ttl_ms = int(TTL_S * 1000)

    def __init__(self, clock: Clock, *answers: bool | None, takes_s: float = 0.0) -> None:
        self._clock = clock
        self._answers = list(answers)
        self._takes_s = takes_s
        self.released: list[Lease] = []

    async def renew(self, held: list[Lease]) -> list[Renewal]:
        self._clock.now_mono_s += self._takes_s
        answer = self._answers.pop(0) if self._answers else None
        if answer is None:
            raise RedisUnavailableError("away")
        return [Renewal.KEPT if answer else Renewal.LOST for _ in held]

    async def release(self, lease: Lease) -> bool:
        self.released.append(lease)
        return True


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(room, "mono_s", clock)
    monkeypatch.setattr(room, "boot_s", clock)
    return clock


class Driven:
    """A keeper whose watch interval passes when the test says so."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, clock: Clock, answers: Answers) -> None:
        self.clock = clock
        self.fenced: list[str] = []
        self.keeper = LeaseKeeper(answers, renew_interval_s=RENEW_S, margin_s=MARGIN_S)  # type: ignore[arg-type]
        self._ticks: asyncio.Queue[bool] = asyncio.Queue()
        self._idle = asyncio.Event()

        async def tick(_seconds: float, _stop: asyncio.Event) -> bool:
            self._idle.set()
            return await self._ticks.get()

        monkeypatch.setattr(room, "sleep_or_stop", tick)
        self.keeper.hold(LEASE, asked_boot_s=clock(), fence=self.fenced.append)
        self._task = asyncio.create_task(self.keeper.run(asyncio.Event()))

    async def pass_s(self, seconds: float) -> None:
        await self._idle.wait()
        self._idle.clear()
        self.clock.now_mono_s += seconds
        self._ticks.put_nowait(False)
        await self._idle.wait()

    async def end(self) -> None:
        self._ticks.put_nowait(True)
        await self._task


async def test_renewals_prolong_the_deadline(monkeypatch: pytest.MonkeyPatch, clock: Clock) -> None:
    driven = Driven(monkeypatch, clock, Answers(clock, *[True] * 10))
    for _ in range(8):
        await driven.pass_s(RENEW_S)
    assert driven.fenced == []
    await driven.end()


async def test_silence_ends_the_session_before_the_ttl_does(monkeypatch: pytest.MonkeyPatch, clock: Clock) -> None:
    driven = Driven(monkeypatch, clock, Answers(clock))
    await driven.pass_s(TTL_S - MARGIN_S - 0.1)
    assert driven.fenced == []
    await driven.pass_s(0.2)
    assert driven.fenced == ["the lease could not be renewed in time"]
    await driven.end()


async def test_a_lost_lease_ends_the_session_at_once(monkeypatch: pytest.MonkeyPatch, clock: Clock) -> None:
    driven = Driven(monkeypatch, clock, Answers(clock, False))
    await driven.pass_s(0.1)
    assert driven.fenced == ["the lease belongs to somebody else now"]
    await driven.pass_s(60)
    assert len(driven.fenced) == 1
    await driven.end()


async def test_the_deadline_counts_from_before_the_call(monkeypatch: pytest.MonkeyPatch, clock: Clock) -> None:
    # The answer takes longer than the lease lives: whatever it says, it came too late.
    driven = Driven(monkeypatch, clock, Answers(clock, True, takes_s=TTL_S))
    await driven.pass_s(0.1)
    await driven.pass_s(0)
    assert driven.fenced == ["the lease was renewed too late"]
    await driven.end()


async def test_a_redis_that_hangs_does_not_keep_the_keeper_from_the_deadline(
    monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    answers = Answers(clock)

    async def hang(held: list[Lease]) -> list[Renewal]:
        await asyncio.Event().wait()
        return [True for _ in held]

    answers.renew = hang  # type: ignore[method-assign]
    driven = Driven(monkeypatch, clock, answers)
    await driven.pass_s(0.1)
    await driven.pass_s(TTL_S - MARGIN_S)
    assert driven.fenced == ["the lease could not be renewed in time"]
    await driven.end()


async def test_a_process_that_was_stopped_fences_when_it_goes_on(monkeypatch: pytest.MonkeyPatch, clock: Clock) -> None:
    driven = Driven(monkeypatch, clock, Answers(clock, True, False))
    await driven.pass_s(0.1)
    await driven.pass_s(3600)
    assert len(driven.fenced) == 1
    await driven.end()


async def test_a_released_lease_is_neither_renewed_nor_fenced(monkeypatch: pytest.MonkeyPatch, clock: Clock) -> None:
    answers = Answers(clock)
    driven = Driven(monkeypatch, clock, answers)
    await driven.keeper.release(LEASE)
    await driven.pass_s(60)
    assert (driven.fenced, answers.released) == ([], [LEASE])
    await driven.end()
