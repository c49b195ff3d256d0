"""How often a session's files are looked at, and when its archives give way to sessions that start."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest

from daemon.core.clock import mono_s
from daemon.core.sections import BackupSettings
from shards.backup import keeper, policy
from shards.backup.keeper import BackupKeeper
from shards.backup.policy import BackupClock

LONG_S = 60.0


class Looked:
    """Stands for a copier whose profile does not change; counts the looks at it."""

    archived = True

    def __init__(self) -> None:
        self.looks = 0

    async def fingerprint(self) -> str:
        self.looks += 1
        return "a"


@pytest.fixture
async def looked(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[Looked, asyncio.Event]]:
    """A session at rest, and what its page sets when it tells something."""
    monkeypatch.setattr(keeper, "_LOOK_INTERVAL_S", 0.005)
    monkeypatch.setattr(keeper, "_RESTING_LOOK_INTERVAL_S", LONG_S)
    monkeypatch.setattr(policy, "_CALM_AFTER_S", 0.05)
    copier, connected, stirred = Looked(), asyncio.Event(), asyncio.Event()
    settings = BackupSettings(SESSION_SETTLE_MS=0)
    kept = BackupKeeper(settings, cast(Any, copier), cast(Any, None), overlay=cast(Any, None))
    kept._clock = BackupClock(
        hot_copy_mono_s=mono_s(), archive_mono_s=mono_s(), fingerprint="a", archive_fingerprint="a"
    )
    connected.set()
    running = asyncio.create_task(kept.run(connected, stirred))
    await _still(copier)
    yield copier, stirred
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running


async def _still(copier: Looked) -> None:
    """Return once nobody looks any more."""
    seen = -1
    while seen != copier.looks:
        seen = copier.looks
        await asyncio.sleep(0.05)


async def test_files_at_rest_are_looked_at_seldom_and_often_again_once_the_page_tells_something(
    looked: tuple[Looked, asyncio.Event],
) -> None:
    copier, stirred = looked
    before = copier.looks
    stirred.set()
    await _still(copier)
    assert copier.looks >= before + 3


@pytest.mark.parametrize(
    ("archived", "starting", "since_s", "expected"),
    [(True, True, 179.0, True), (True, True, 181.0, False), (True, False, 1.0, False), (False, True, 1.0, False)],
)
async def test_archives_give_way_to_starts_for_three_minutes_and_only_where_there_is_one(
    archived: bool, starting: bool, since_s: float, expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    copier = Looked()
    copier.archived = archived
    kept = BackupKeeper(
        BackupSettings(), cast(Any, copier), cast(Any, None), overlay=cast(Any, None), starting=lambda: starting
    )
    monkeypatch.setattr(keeper, "_SPREAD_S", 1.0)
    monkeypatch.setattr(keeper.random, "uniform", lambda _low, high: high)
    assert kept._gives_way(mono_s() - since_s) is expected
    starting = False
    assert kept._gives_way(mono_s() - since_s) is expected  # and then a moment more
    kept._archives_from_mono_s = mono_s()
    assert not kept._gives_way(mono_s() - since_s)
    assert not kept._gives_way(None)
