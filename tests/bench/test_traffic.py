"""Requests at a fixed rate, timed from when they were due."""

import asyncio
import random
from collections import Counter

import pytest

from bench.traffic import Due, ErrorLimit, OpenLoop, plan_requests


def plan(count: int, *, rate: float = 1000.0) -> list[Due]:
    return plan_requests({"list": 1}, rate=rate, duration_s=count / rate, chance=random.Random(1))


def test_a_plan_has_its_rate_and_its_shares() -> None:
    made = plan_requests({"list": 6, "create": 2, "send": 2}, rate=50, duration_s=10, chance=random.Random(1))
    assert Counter(due.kind for due in made) == {"list": 300, "create": 100, "send": 100}
    assert [due.at_s for due in made] == [index / 50 for index in range(500)]
    assert [due.number for due in made if due.kind == "send"] == list(range(100))


def test_shares_that_do_not_divide_are_met_as_nearly_as_can_be() -> None:
    made = plan_requests({"a": 1, "b": 1, "c": 1}, rate=10, duration_s=1, chance=random.Random(1))
    assert sorted(Counter(due.kind for due in made).values()) == [3, 3, 4]


def test_a_plan_is_the_same_with_the_same_chance() -> None:
    mix = {"list": 6.0, "create": 2.0}
    first, second = (plan_requests(mix, rate=9, duration_s=9, chance=random.Random(7)) for _ in range(2))
    assert first == second


@pytest.mark.parametrize(
    ("answers", "before_the_end", "at_the_end"),
    [
        ([True] * 19, False, True),
        ([True] * 20, True, True),
        ([True] * 1 + [False] * 19, False, False),
        ([True] * 2 + [False] * 18, True, True),
        ([True] * 50 + [False] * 50, False, False),
        ([], False, False),
    ],
)
def test_too_many_of_the_last_answers_are_errors(answers: list[bool], before_the_end: bool, at_the_end: bool) -> None:
    limit = ErrorLimit(0.05)
    for failed in answers:
        limit.add(failed=failed)
    assert limit.passed() is before_the_end
    assert limit.passed(at_end=True) is at_the_end


async def test_every_request_is_made() -> None:
    async def ask(due: Due) -> str:
        return ""

    loop = OpenLoop(ask, ErrorLimit(0.05), at_once=4)
    await loop.run(plan(40), timeout_s=5)
    assert len(loop.answers) == 40
    assert not loop.stopped


async def test_requests_that_had_to_wait_for_one_are_charged_for_it() -> None:
    """A closed loop would time the one that hung, and those behind it only from when they were sent at last."""

    async def ask(due: Due) -> str:
        if due.number == 0:
            await asyncio.sleep(0.3)
        return ""

    loop = OpenLoop(ask, ErrorLimit(0.05), at_once=1)
    await loop.run(plan(20), timeout_s=5)
    assert len(loop.answers) == 20
    assert min(answer.latency_ms for answer in loop.answers) > 200
    assert max(answer.done_s - answer.sent_s for answer in loop.answers[1:]) < 0.2


async def test_it_ends_when_too_many_fail() -> None:
    async def ask(due: Due) -> str:
        return "redis_unavailable"

    loop = OpenLoop(ask, ErrorLimit(0.05), at_once=1)
    await loop.run(plan(1000), timeout_s=5)
    assert loop.stopped
    assert 20 <= len(loop.answers) <= 25


async def test_what_never_ends_is_given_up() -> None:
    async def ask(due: Due) -> str:
        await asyncio.Event().wait()
        return ""

    loop = OpenLoop(ask, ErrorLimit(0.05), at_once=5)
    await loop.run(plan(3), timeout_s=0.05)
    assert loop.answers == []


async def test_when_it_is_cancelled_what_is_under_way_may_end() -> None:
    began = asyncio.Event()

    async def ask(due: Due) -> str:
        began.set()
        await asyncio.sleep(0.1)
        return ""

    loop = OpenLoop(ask, ErrorLimit(0.05), at_once=5)
    running = asyncio.create_task(loop.run(plan(1000, rate=1), timeout_s=5))
    await began.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert len(loop.answers) == 1
