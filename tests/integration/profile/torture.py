"""Hundreds of copies of a profile while its page writes as hard as it can, each opened by a fresh Chromium.

Our snapshots and plain copies of the same directories are taken in turn from the same page, and judged by the same
look. For tests and the bench.
"""

import asyncio
import contextlib
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from daemon.core.errors import BlazzError
from shards.profile.digests import Digests
from shards.profile.files import INDEXED_DB, LOCAL_STORAGE
from shards.profile.snapshot import take_live
from tests.integration.profile.copies import through_archive, through_hot_copy
from tests.integration.profile.rig import Open, OpenPage

OVERLAY = b'{"an": "overlay"}'


@dataclass
class Tally:
    """What became of one way of copying. A copy counts once, under its worst fault."""

    way: str
    taken: int = 0
    not_taken: int = 0
    opened: int = 0
    opened_twice: int = 0
    not_opened: int = 0
    login_lost: int = 0
    writes_lost: int = 0
    lost_at_second_opening: int = 0
    blobs_lost: int = 0
    take_ms: list[float] = field(default_factory=list)

    @property
    def lost(self) -> int:
        """How many copies are not what a restore needs."""
        return (
            self.not_taken + self.not_opened + self.login_lost + self.writes_lost + self.blobs_lost
            + self.lost_at_second_opening
        )  # fmt: skip

    def __str__(self) -> str:
        return (
            f"{self.way}: {self.lost} lost of {self.taken + self.not_taken} (not taken {self.not_taken}, not opened"
            f" {self.not_opened}, login {self.login_lost}, writes {self.writes_lost}, blobs {self.blobs_lost}, at the"
            f" second opening {self.lost_at_second_opening} of {self.opened_twice})"
        )


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How much is done. Of so many snapshots one goes through an archive and one through a hot copy, both encrypted
    and described by known digests; one of `twice_every` is opened twice."""

    snapshots: int = 200
    plain_copies: int = 40
    packed_every: int = 8
    twice_every: int = 10
    openers: int = 4
    batch: int = 25
    """After so many copies the page stops, and they are looked at: its writing would take the lookers' processor."""


@dataclass(frozen=True)
class _Copy:
    tally: Tally
    profile_dir: Path
    acknowledged: int
    twice: bool


class Torture:
    """One run. `ours` and `plain` are what came out; `page_wrote` is how much the page wrote during our snapshots."""

    def __init__(self, open_page: Open, work: Path, plan: Plan, *, tell: Callable[[], object] = lambda: None) -> None:
        """`tell` is called for each of our snapshots that was looked at."""
        self.ours = Tally("ours")
        self.plain = Tally("plain copy")
        self.page_wrote = 0
        self._open_page = open_page
        self._work = work
        self._plan = plan
        self._tell = tell
        self._digests = Digests()
        self._openers = asyncio.Semaphore(plan.openers)

    async def run(self) -> None:
        """Take all copies, in batches, and look at them; every copy is removed after its look."""
        async with self._open_page(self._work / "profile") as page:
            await page.run("login()")
            for first in range(0, self._plan.snapshots, self._plan.batch):
                await page.run("start()")
                await page.run("grown(20)")
                last = min(first + self._plan.batch, self._plan.snapshots)
                copies = [copy for number in range(first, last) for copy in await self._take_both(page, number)]
                await page.run("stop()")
                async with asyncio.TaskGroup() as group:
                    for copy in copies:
                        group.create_task(self._look_at(copy))

    async def _take_both(self, page: OpenPage, number: int) -> list[_Copy]:
        every = max(1, self._plan.snapshots // max(1, self._plan.plain_copies))
        copies = [await self._take(page, self.ours, number, self._take_ours, number % self._plan.twice_every == 0)]
        if number % every == 0 and (turn := number // every) < self._plan.plain_copies:
            copies.append(await self._take(page, self.plain, number, self._take_plain, turn % 2 == 0))
        return [copy for copy in copies if copy is not None]

    async def _take(
        self, page: OpenPage, tally: Tally, number: int, take: Callable[[int], tuple[Path, float]], twice: bool
    ) -> _Copy | None:
        acknowledged = await page.run("acknowledged")
        try:
            profile_dir, took_ms = await asyncio.to_thread(take, number)
        except BlazzError:
            tally.not_taken += 1
            return None
        tally.taken += 1
        tally.take_ms.append(took_ms)
        if tally is self.ours:
            self.page_wrote += await page.run("acknowledged") - acknowledged
        return _Copy(tally, profile_dir, acknowledged, twice)

    def _take_ours(self, number: int) -> tuple[Path, float]:
        files = self._work / f"ours-{number}"
        began_mono_s = time.monotonic()
        take_live(self._work / "profile", files, extra={"overlay.json": OVERLAY})
        took_ms = (time.monotonic() - began_mono_s) * 1000
        match number % self._plan.packed_every:
            case 1:
                return through_archive(files, number, digests=self._digests), took_ms
            case 2:
                return through_hot_copy(files, number, digests=self._digests), took_ms
        return files, took_ms

    def _take_plain(self, number: int) -> tuple[Path, float]:
        """Copy as `cp -r` does: one file after the other, going on when one has vanished."""
        copy = self._work / f"plain-{number}"
        began_mono_s = time.monotonic()
        for path in (INDEXED_DB, LOCAL_STORAGE):
            with contextlib.suppress(shutil.Error):
                shutil.copytree(self._work / "profile" / path, copy / path)
        return copy, (time.monotonic() - began_mono_s) * 1000

    async def _look_at(self, copy: _Copy) -> None:
        async with self._openers:
            try:
                await self._judge(copy)
            finally:
                await asyncio.to_thread(partial(shutil.rmtree, copy.profile_dir, ignore_errors=True))
                if copy.tally is self.ours:
                    self._tell()

    async def _judge(self, copy: _Copy) -> None:
        tally = copy.tally
        tally.opened += 1
        try:
            async with self._open_page(copy.profile_dir) as page:
                found = await page.run("look()")
                appended = await page.run(f"append({found['last']})") if copy.twice else 0
        except Exception:
            tally.not_opened += 1
            return
        if not found["signed"]:
            tally.login_lost += 1
        elif found["last"] < copy.acknowledged:
            tally.writes_lost += 1
        elif copy.twice and not await self._is_kept(copy, appended):
            tally.lost_at_second_opening += 1
        elif found["unreadable"] or not found["blobs"]:
            tally.blobs_lost += 1

    async def _is_kept(self, copy: _Copy, appended: int) -> bool:
        """Chromium went on writing in what it found and was killed: whether the next one finds all of it."""
        copy.tally.opened_twice += 1
        async with self._open_page(copy.profile_dir) as page:
            found = await page.run("look()")
        return bool(found["signed"] and found["last"] >= appended)
