"""When an endpoint is down, who may find out whether it is back, and since when it had failed."""

import asyncio

import pytest

from daemon.core.loops import cancel_all
from daemon.webhooks.gate import Gate
from daemon.webhooks.schedule import Answer, RetrySchedule

TAKEN = Answer(status=200, failure=None)
REFUSED = Answer(status=500, failure="HTTP 500")
NOW_MS = 1_769_860_800_000
UNREACHABLE = Answer(status=0, failure="ConnectError", unreachable=True)


def gate(*, first_s: float = 0.0, failing_since_ms: int | None = None) -> Gate:
    """A gate for which no time must pass, or, with a long `first_s`, never enough does."""
    schedule = RetrySchedule(first_s=first_s, cap_s=first_s)
    return Gate("laravel", "h", schedule=schedule, rand=lambda: 1.0, failing_since_ms=failing_since_ms)


def refuse(one: Gate, count: int, *, at_ms: int = NOW_MS, parked: bool = False) -> None:
    for n in range(count):
        one.note(f"s{n}", REFUSED, now_ms=at_ms, parked=parked)


def test_five_sessions_refused_are_the_endpoint_only_after_nothing_was_taken_for_ten_pauses() -> None:
    one = gate(first_s=1.0)
    refuse(one, 50)
    refuse(one, 50, at_ms=NOW_MS + 9_999)
    assert (one.down, one.failing) == (False, True)
    one.note("good", TAKEN, now_ms=NOW_MS + 9_999, parked=False)
    refuse(one, 4, at_ms=NOW_MS + 10_000)
    refuse(one, 4, at_ms=NOW_MS + 99_000)
    assert not one.down
    refuse(one, 5, at_ms=NOW_MS + 99_000)
    assert one.down


def test_what_is_parked_already_says_nothing_about_the_endpoint_unless_there_is_no_connection() -> None:
    one = gate()
    refuse(one, 50, parked=True)
    assert not one.down
    for _ in range(3):
        one.note("s", UNREACHABLE, now_ms=NOW_MS, parked=True)
    assert one.down


def test_a_success_tells_since_when_there_was_none_if_it_failed_before() -> None:
    one = gate()
    assert one.note("s", TAKEN, now_ms=NOW_MS, parked=False) is None
    refuse(one, 2)
    assert one.note("s", TAKEN, now_ms=NOW_MS + 1, parked=False) is None
    refuse(one, 3, at_ms=NOW_MS + 2)
    refuse(one, 3, at_ms=NOW_MS + 3)
    assert one.failing_since_ms == NOW_MS + 2
    assert one.note("s", TAKEN, now_ms=NOW_MS + 4, parked=False) == NOW_MS + 2
    assert (one.failing, one.failing_since_ms) == (False, None)
    heir = gate(failing_since_ms=NOW_MS - 9)
    assert heir.failing
    assert heir.note("s", TAKEN, now_ms=NOW_MS, parked=False) == NOW_MS - 9


@pytest.mark.parametrize("tried", [0, 3])
async def test_while_it_is_down_one_at_a_time_is_let_in_those_first_that_were_not_tried(tried: int) -> None:
    one, stop, entered = gate(), asyncio.Event(), list[str]()
    refuse(one, 5)

    async def enter(name: str, fresh: bool) -> None:
        await one.enter(fresh=fresh)
        entered.append(name)

    waiting = [asyncio.create_task(enter(f"tried{n}", False)) for n in range(tried)]
    waiting += [asyncio.create_task(enter(f"fresh{n}", True)) for n in range(3)]
    while one.waiting < tried + 3:
        await asyncio.sleep(0)
    running = asyncio.create_task(one.run(stop))
    for count in range(1, 3):
        while len(entered) < count:
            await asyncio.sleep(0)
        for _ in range(20):
            await asyncio.sleep(0)
        assert entered == [f"fresh{n}" for n in range(count)]
        one.note(entered[-1], REFUSED, now_ms=NOW_MS, parked=False)
    while len(entered) < 3:
        await asyncio.sleep(0)
    one.note(entered[-1], TAKEN, now_ms=NOW_MS, parked=False)
    await asyncio.wait_for(asyncio.gather(*waiting), 5)
    assert len(entered) == tried + 3 and not one.down
    await cancel_all([running])
