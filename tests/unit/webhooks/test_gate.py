"""When an endpoint is down, who may find out whether it is back, and since when it had failed."""

import asyncio

import pytest

from daemon.core.loops import cancel_all
from daemon.webhooks.gate import Gate
from daemon.webhooks.schedule import Answer, RetrySchedule

TAKEN = Answer(status=200, failure=None)
REFUSED = Answer(status=500, failure="HTTP 500")
UNREACHABLE = Answer(status=0, failure="ConnectError", unreachable=True)


def gate(*, first_s: float = 0.0, failing_for_s: float | None = None) -> Gate:
    """A gate for which no time must pass, or, with a long `first_s`, never enough does."""
    schedule = RetrySchedule(first_s=first_s, cap_s=first_s)
    return Gate("laravel", "h", schedule=schedule, rand=lambda: 1.0, failing_for_s=failing_for_s)


def refuse(one: Gate, count: int, *, parked: bool = False) -> None:
    for n in range(count):
        one.note(f"s{n}", REFUSED, parked=parked)


def test_five_sessions_refused_are_the_endpoint_only_after_nothing_was_taken_for_a_while() -> None:
    patient, hasty = gate(first_s=1000), gate()
    refuse(patient, 50)
    assert (patient.down, patient.failing) == (False, True)
    refuse(hasty, 4)
    assert not hasty.down
    hasty.note("good", TAKEN, parked=False)
    refuse(hasty, 4)
    assert not hasty.down
    refuse(hasty, 5)
    assert hasty.down


def test_what_is_parked_already_says_nothing_about_the_endpoint_unless_there_is_no_connection() -> None:
    one = gate()
    refuse(one, 50, parked=True)
    assert not one.down
    for _ in range(3):
        one.note("s", UNREACHABLE, parked=True)
    assert one.down


def test_a_success_tells_since_when_there_was_none_if_it_failed_before() -> None:
    one = gate()
    assert one.note("s", TAKEN, parked=False) is None
    refuse(one, 2)
    assert one.note("s", TAKEN, parked=False) is None
    refuse(one, 3)
    failing_for_s = one.failing_for_s
    since_mono_s = one.note("s", TAKEN, parked=False)
    assert failing_for_s is not None and since_mono_s is not None
    assert (one.failing, one.failing_for_s) == (False, None)

    heir = gate(failing_for_s=3600)
    assert heir.failing
    began_mono_s = heir.note("s", TAKEN, parked=False)
    assert began_mono_s is not None and since_mono_s - 3601 < began_mono_s < since_mono_s - 3599


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
        one.note(entered[-1], REFUSED, parked=False)
    while len(entered) < 3:
        await asyncio.sleep(0)
    one.note(entered[-1], TAKEN, parked=False)
    await asyncio.wait_for(asyncio.gather(*waiting), 5)
    assert len(entered) == tried + 3 and not one.down
    await cancel_all([running])
