"""A leader killed at a set step: nothing is lost, an event comes twice at most, with its id, and in its order."""

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web

from daemon.core.errors import RedisUnavailableError
from daemon.core.loops import cancel_all
from daemon.registry import parked as registry_parked
from daemon.registry.dead_letters import DeadLetters
from daemon.registry.link import RedisLink
from daemon.registry.outbox import Outbox
from daemon.registry.parked import UNTRIED, Parked, Tries
from daemon.webhooks import lanes
from tests.integration.webhooks.conftest import Publish, Running, Start
from tests.integration.webhooks.receiver import Behaviour, Delivery, Receiver, accept, until
from tests.integration.webhooks.test_fairness import after, nothing_waits

EVENTS = 24


@dataclass
class Deadly:
    """Hangs for ever at the given call of a method, before it is made, or when it was and its answer is lost."""

    made: bool
    call: int = 1
    died: asyncio.Event = field(default_factory=asyncio.Event)

    async def strike(self, once: Callable[[], Any]) -> Any:
        """Make the call, or die at it."""
        self.call -= 1
        if self.call != 0:
            return await once()
        if self.made:
            await once()
        self.died.set()
        await asyncio.Event().wait()

    def at_script(self, monkeypatch: pytest.MonkeyPatch, link: RedisLink, script: str) -> None:
        """Strike when this script is run."""
        run = link.run

        async def runs(name: str, *args: Any) -> Any:
            return await (self.strike(lambda: run(name, *args)) if name == script else run(name, *args))

        monkeypatch.setattr(link, "run", runs)

    def at_done(self, monkeypatch: pytest.MonkeyPatch, outbox: Outbox) -> None:
        """Strike when delivered events are acknowledged."""
        done = outbox.done

        async def acknowledges(endpoint: str, entry_ids: list[str]) -> None:
            await (self.strike(lambda: done(endpoint, entry_ids)) if entry_ids else done(endpoint, entry_ids))

        monkeypatch.setattr(outbox, "done", acknowledges)


async def kill(running: Running) -> None:
    """Let nothing more of it happen."""
    await cancel_all([running.task])
    running.task = asyncio.create_task(asyncio.sleep(0))


def failing_first(receiver: Receiver, *statuses: int) -> Behaviour:
    """Answer the first tries of session `s0` so."""

    async def behave(_request: web.Request, delivery: Delivery) -> web.StreamResponse:
        tries = sum(one.session_id == "s0" for one in receiver.tries)
        failed = delivery.session_id == "s0" and tries <= len(statuses)
        return web.Response(status=statuses[tries - 1] if failed else 200)

    return behave


STEPS = {
    "acknowledge": ("", ()),
    "park": ("park_events", (500, 500, 500)),
    "bury": ("bury_event", (410,)),
    "bury what is parked": ("bury_event", (500, 500, 500, 410)),
    "leave the parking": ("leave_parked", (500, 500, 500)),
}


@pytest.mark.parametrize("made", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("step", STEPS)
async def test_a_leader_killed_at_a_step_loses_nothing(
    step: str,
    made: bool,
    link: RedisLink,
    outbox: Outbox,
    letters: DeadLetters,
    receiver: Receiver,
    publish: Publish,
    start: Start,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    script, statuses = STEPS[step]
    receiver.behave = failing_first(receiver, *statuses)
    deadly = Deadly(made)
    events = [await publish(f"s{n % 3}", n) for n in range(EVENTS)]
    with monkeypatch.context() as patched:
        if script:
            deadly.at_script(patched, link, script)
        else:
            deadly.at_done(patched, outbox)
        async with start() as first:
            await asyncio.wait_for(deadly.died.wait(), 30)
            await kill(first)
    receiver.behave = accept
    async with start():
        await nothing_waits(outbox)
    buried = [one.event["data"]["n"] for one in (await letters.page()).letters]
    assert buried == ([0] if 410 in statuses and made else [])
    for session in range(3):
        firsts = list(dict.fromkeys(receiver.numbers(f"s{session}")))
        assert firsts == [n for n in range(session, EVENTS, 3) if n not in buried]
    times = Counter(receiver.numbers("s0") + receiver.numbers("s1") + receiver.numbers("s2"))
    assert max(times.values()) <= 2
    assert {one.body["id"] for one in receiver.taken} == {events[n].event_id for n in times}


@pytest.mark.parametrize("made", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("call", [1, 2])
async def test_a_leader_killed_while_it_moves_a_full_lane_loses_nothing_and_keeps_the_order(
    call: int,
    made: bool,
    link: RedisLink,
    outbox: Outbox,
    receiver: Receiver,
    publish: Publish,
    start: Start,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(lanes, "LANE_MAX", 5)
    monkeypatch.setattr(registry_parked, "_PARK_BATCH", 10)
    receiver.behave = after(0.01)
    deadly = Deadly(made, call)
    for n in range(60):  # more than are moved by one call
        await publish("busy", n)
    with monkeypatch.context() as patched:
        deadly.at_script(patched, link, "park_events")
        async with start() as first:
            await asyncio.wait_for(deadly.died.wait(), 30)
            await kill(first)
    receiver.behave = accept
    async with start():
        await nothing_waits(outbox)
    assert list(dict.fromkeys(receiver.numbers("busy"))) == list(range(60))
    assert len(receiver.tries) <= 60 + 5


@pytest.mark.parametrize("made", [False, True], ids=["before", "after"])
async def test_a_kill_while_dead_letters_are_sent_again_loses_none(
    made: bool, link: RedisLink, outbox: Outbox, letters: DeadLetters, receiver: Receiver, publish: Publish,
    start: Start, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    receiver.behave = failing_first(receiver, *[410] * 6)
    for n in range(6):
        await publish("s0", n)
    async with start():
        await nothing_waits(outbox)
    deadly = Deadly(made)
    run_many = link.run_many

    async def runs(name: str, calls: list[Any]) -> Any:
        # The first half reached Redis.
        await run_many(name, calls[:3])
        return await deadly.strike(lambda: run_many(name, calls[3:]))

    with monkeypatch.context() as patched:
        patched.setattr(link, "run_many", runs)
        sending = asyncio.create_task(letters.redrive((await letters.page()).letters))
        await asyncio.wait_for(deadly.died.wait(), 30)
        await cancel_all([sending])
    assert await letters.redrive((await letters.page()).letters) == (0 if made else 3)
    async with start():
        await nothing_waits(outbox)
    assert receiver.numbers("s0") == list(range(6))


async def test_after_a_kill_behind_a_burial_the_next_event_has_its_own_hour_of_404(
    link: RedisLink, outbox: Outbox, parked: Parked, letters: DeadLetters, receiver: Receiver, publish: Publish,
    start: Start, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    await outbox.join(["laravel"])
    for n in range(2):
        await publish("s0", n)
    waiting = await outbox.take("laravel", 2, 10)
    hours_ago = await outbox.now_ms() - 2 * 3_600_000
    await parked.park("laravel", "s0", waiting, due_ms=0, tries=Tries(count=9, since_ms=hours_ago))
    receiver.behave = failing_first(receiver, *[404] * 5)
    deadly = Deadly(made=True)
    with monkeypatch.context() as patched:
        deadly.at_script(patched, link, "bury_event")
        async with start() as first:
            await asyncio.wait_for(deadly.died.wait(), 30)
            await kill(first)
    assert await parked.tries("laravel", "s0") == UNTRIED
    async with start():
        await until(lambda: receiver.numbers("s0") == [1], "the next one, after its own 404s")
    assert [one.event["data"]["n"] for one in (await letters.page()).letters] == [0]


async def test_a_pause_whose_answer_was_lost_is_not_made_again_once_it_is_ended(
    outbox: Outbox, receiver: Receiver, publish: Publish, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    pause = outbox.pause
    lost = False

    async def pauses(endpoint: str, facts: Any) -> None:
        nonlocal lost
        await pause(endpoint, facts)
        if not lost:
            lost = True
            raise RedisUnavailableError("the answer was lost")

    monkeypatch.setattr(outbox, "pause", pauses)
    receiver.behave = failing_first(receiver, *[410] * 20)
    for n in range(22):
        await publish("s0", n)
    async with start() as running:
        await until(lambda: lost, "the pause")
        await until(lambda: running.dispatcher._running["laravel"].delivery.pause_noted, "it is known")
        await outbox.resume("laravel")
        await until(lambda: receiver.numbers("s0") == [20, 21], "what waited")
        assert await outbox.paused() == {}
