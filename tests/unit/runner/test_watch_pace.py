"""How often a page is looked at."""

import asyncio
from types import SimpleNamespace
from typing import Any, cast
from unittest.mock import AsyncMock

import pytest

from daemon.core.clock import mono_s
from daemon.sessions.states import SessionState
from shards.page.events import PageEvent, PageEventKind
from shards.page.state import PageSnapshot, PageState
from shards.runner import watch as pace
from shards.runner.hearing import Hearing
from shards.runner.watch import _CALM_LOOKS, _GIVES_WAY_S, _LOOK_INTERVAL_S, _RESTING_LOOK_INTERVAL_S, PageWatch
from tests.unit.runner.test_hearing import RECORD

CONNECTED = PageSnapshot(state=PageState.CONNECTED, phone="1")


class Restored:
    source = "r2"


class Idle:
    """A page that counts how often it collected its garbage."""

    def __init__(self) -> None:
        self.collected = 0

    async def snapshot(self) -> PageSnapshot:
        return CONNECTED

    def collect_garbage(self) -> None:
        self.collected += 1


class Others:
    """Whether other sessions start."""

    start = False

    def starting(self) -> bool:
        return self.start


@pytest.fixture
def page() -> Idle:
    return Idle()


@pytest.fixture
def others() -> Others:
    return Others()


@pytest.fixture
def watch(page: Idle, others: Others) -> PageWatch:
    """The watch over a page that has been connected."""
    notes = cast(Any, type("Notes", (), {"record": RECORD}))
    hearing = Hearing(cast(Any, None))
    made = PageWatch(
        cast(Any, page), hearing, notes, cast(Any, None), cast(Any, Restored),
        on_login=cast(Any, None), sync_timeout_s=1, boot_timeout_s=1, starting=others.starting,
    )  # fmt: skip
    made._untidy_since_mono_s = mono_s()
    made.settled.set()
    made.connected.set()
    return made


def intervals(watch: PageWatch, snapshot: PageSnapshot = CONNECTED, *, written: bool = True) -> list[float]:
    return [watch._interval_s(snapshot, written=written) for _ in range(2 * _CALM_LOOKS)]


def test_a_page_that_stays_connected_is_looked_at_less_often(watch: PageWatch) -> None:
    assert intervals(watch)[: _CALM_LOOKS - 1] == [_LOOK_INTERVAL_S] * (_CALM_LOOKS - 1)
    assert set(intervals(watch)) == {_RESTING_LOOK_INTERVAL_S}


@pytest.mark.parametrize("state", [state for state in PageState if state is not PageState.CONNECTED])
def test_a_page_in_any_other_state_is_looked_at_as_often_as_ever(watch: PageWatch, state: PageState) -> None:
    intervals(watch)
    assert max(intervals(watch, PageSnapshot(state=state))) <= _LOOK_INTERVAL_S


def test_there_is_no_rest_before_the_session_is_connected_or_while_redis_lacks_what_was_noted(
    watch: PageWatch,
) -> None:
    assert set(intervals(watch, written=False)) == {_LOOK_INTERVAL_S}
    watch.connected.clear()
    assert set(intervals(watch)) == {_LOOK_INTERVAL_S}


async def test_a_hint_of_the_page_ends_a_rest_at_once_and_looks_are_frequent_again(watch: PageWatch) -> None:
    intervals(watch)
    asyncio.get_running_loop().call_later(
        0.01, watch._hearing.take, PageEvent(kind=PageEventKind.STATE_HINT, data={"source": "x"})
    )
    began_mono_s = mono_s()
    await watch._pause(_RESTING_LOOK_INTERVAL_S)
    assert mono_s() - began_mono_s < 1
    assert watch._interval_s(CONNECTED, written=True) == _LOOK_INTERVAL_S


def test_garbage_is_collected_once_when_a_connected_page_comes_to_rest(watch: PageWatch, page: Idle) -> None:
    watch._tidy(resting=False)
    assert page.collected == 0
    watch._tidy(resting=True)
    watch._tidy(resting=True)
    assert page.collected == 1


def test_sessions_that_start_go_before_garbage_but_not_for_ever(watch: PageWatch, page: Idle, others: Others) -> None:
    others.start = True
    watch._tidy(resting=True)
    assert page.collected == 0
    watch._untidy_since_mono_s = mono_s() - _GIVES_WAY_S
    watch._tidy(resting=True)
    assert page.collected == 1


async def test_a_session_that_gets_connected_has_its_garbage_collected_once(
    page: Idle, others: Others, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pace, "_LOOK_INTERVAL_S", 0.001)
    monkeypatch.setattr(pace, "_RESTING_LOOK_INTERVAL_S", 0.002)
    notes = AsyncMock()
    notes.record = SimpleNamespace(status=None, paired=True, pushname="", unsaved=None)
    notes.flush.return_value = True
    watch = PageWatch(
        cast(Any, page), Hearing(cast(Any, None)), notes, AsyncMock(token=1),
        cast(Any, SimpleNamespace(source=None, phases=SimpleNamespace(add=lambda step, took_s: None), order=None)),
        on_login=AsyncMock(), sync_timeout_s=1, boot_timeout_s=1, starting=others.starting,
    )  # fmt: skip
    running = asyncio.create_task(watch.run())
    try:
        await asyncio.wait_for(watch.connected.wait(), 1)
        notes.record.status = SessionState.CONNECTED
        assert page.collected == 0
        await asyncio.sleep(0.2)
        assert not running.done()
        assert page.collected == 1
    finally:
        running.cancel()
