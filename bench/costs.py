"""What one snapshot costs, in bytes and milliseconds, of a profile that a live Chromium has open."""

import asyncio
import shutil
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from daemon.core.sections import BackupSettings
from shards.archive.describing import describe
from shards.archive.hot import pack_hot
from shards.archive.keyring import Keyring
from shards.archive.pack import pack
from shards.profile.digests import Digests
from shards.profile.snapshot import SnapshotFiles, fingerprint, take_live
from tests.integration.profile.copies import KEYRING, manifest_facts
from tests.integration.profile.rig import Open, OpenPage

PLAIN = Keyring({})
HOT_COPY_LIMIT_BYTES: int = BackupSettings.model_fields["hot_copy_max_bytes"].default
T = TypeVar("T")


@dataclass
class Costs:
    """Samples of one case, by name; milliseconds or bytes as the name says.

    `cpu_ms` is processor time of a whole round: on a busy machine it says more than the clock.
    """

    profile: str
    case: str
    encrypted: bool
    samples: dict[str, list[float]] = field(default_factory=dict)

    def add(self, name: str, value: float) -> None:
        """Add one sample."""
        self.samples.setdefault(name, []).append(value)

    def medians(self) -> dict[str, float]:
        """Return the median of each kind of sample, and the time of all steps together."""
        found = {name: statistics.median(values) for name, values in self.samples.items()}
        steps = [value for name, value in found.items() if name.endswith("_ms") and name != "cpu_ms"]
        return found | {"all_ms": sum(steps)}


async def measure_costs(open_page: Open, work: Path, *, rounds: int) -> list[Costs]:
    """Measure a login with some messages, and one that has grown."""
    found: list[Costs] = []
    work.mkdir()
    for name, prepare in (("new login", _new_login), ("grown", _grown)):
        profile = work / "profile"
        async with open_page(profile) as page:
            await prepare(page)
            for keyring in (PLAIN, KEYRING):
                found.extend(await _measure(page, _Rounds(profile, work / "snapshot", keyring), name, rounds))
        shutil.rmtree(profile)
    return found


async def _new_login(page: OpenPage) -> None:
    await page.run("login()")
    await page.run("messages(0, 500)")


async def _grown(page: OpenPage) -> None:
    await _new_login(page)
    await page.run("start()")
    await page.run("grown(300)")
    await page.run("stop()")


async def _measure(page: OpenPage, one: "_Rounds", profile: str, rounds: int) -> list[Costs]:
    encrypted = one.keyring.sealing is not None
    unchanged, small, full = (Costs(profile, case, encrypted) for case in ("unchanged", "small change", "full (first)"))
    known = Digests()
    await asyncio.to_thread(one.backup, Costs(profile, "warm-up", encrypted), known)
    for number in range(rounds):
        await page.run(f"messages({1000 + number}, 1)")
        # In turn, so that what else the machine does hits all alike.
        await asyncio.to_thread(one.backup, small, known)
        await asyncio.to_thread(one.unchanged, unchanged)
        await asyncio.to_thread(one.backup, full, Digests())
    return [unchanged, small, full]


class _Rounds:
    """What a backup does, step by step, with a clock. Blocking."""

    def __init__(self, profile: Path, work: Path, keyring: Keyring) -> None:
        self._profile = profile
        self._work = work
        self.keyring = keyring

    def unchanged(self, costs: Costs) -> None:
        """Find out that nothing changed."""
        began_s = time.thread_time()
        _timed(costs, "fingerprint_ms", lambda: fingerprint(self._profile))
        costs.add("cpu_ms", (time.thread_time() - began_s) * 1000)

    def backup(self, costs: Costs, digests: Digests) -> None:
        """Take, describe and pack a snapshot; what `digests` knows is not read to describe it."""
        self._work.mkdir()
        files = self._work / "files"
        began_s = time.thread_time()
        _timed(costs, "fingerprint_ms", lambda: fingerprint(self._profile))
        taken: SnapshotFiles = _timed(
            costs, "snapshot_ms", lambda: take_live(self._profile, files, extra={"overlay.json": b"{}"})
        )
        manifest = _timed(
            costs, "describe_ms", lambda: describe(files, manifest_facts(1), known=digests.of(files, taken.paths))
        )
        hot = _timed(
            costs, "hot_copy_ms",
            lambda: pack_hot(files, manifest, keyring=self.keyring, limit_bytes=HOT_COPY_LIMIT_BYTES),
        )  # fmt: skip
        archive = self._work / "archive"
        packed = _timed(costs, "archive_ms", lambda: pack(files, manifest, archive, keyring=self.keyring))
        costs.add("cpu_ms", (time.thread_time() - began_s) * 1000)
        costs.add("files_bytes", taken.size_bytes)
        if hot is not None:
            costs.add("hot_copy_bytes", len(hot))
        costs.add("archive_bytes", packed.size_bytes)
        shutil.rmtree(self._work)


def _timed(costs: Costs, name: str, work: Callable[[], T]) -> T:
    began_mono_s = time.perf_counter()
    result = work()
    costs.add(name, (time.perf_counter() - began_mono_s) * 1000)
    return result
