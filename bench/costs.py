"""What one snapshot costs, in bytes and milliseconds, of a profile that a live Chromium has open."""

import asyncio
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from bench.report import Spread
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
NEW_LOGIN, GROWN = "new login", "grown"
HOT_COPY_LIMIT_BYTES: int = BackupSettings.model_fields["hot_copy_max_bytes"].default
T = TypeVar("T")


@dataclass
class Costs:
    """Samples of one case, by name; milliseconds or bytes as the name says.

    `all_ms` is the time of all steps of a round together, `cpu_ms` the processor's: on a busy machine it says more.
    """

    profile: str
    case: str
    encrypted: bool
    samples: dict[str, list[float]] = field(default_factory=dict)

    def add(self, name: str, value: float) -> None:
        """Add one sample."""
        self.samples.setdefault(name, []).append(value)

    def spreads(self) -> dict[str, Spread]:
        """Return each kind of sample summed up."""
        return {name: Spread.of(values) for name, values in self.samples.items()}


async def measure_costs(
    open_page: Open, work: Path, *, rounds: int, grown_writes: int, tell: Callable[[], object]
) -> list[Costs]:
    """Measure a login with some messages, and one that has grown; `tell` is called for each of the four cases."""
    found: list[Costs] = []
    work.mkdir()
    for name, writes in ((NEW_LOGIN, 0), (GROWN, grown_writes)):
        profile = work / "profile"
        async with open_page(profile) as page:
            await _log_in(page, writes)
            for keyring in (PLAIN, KEYRING):
                found.extend(await _measure(page, _Rounds(profile, work / "snapshot", keyring), name, rounds))
                tell()
        shutil.rmtree(profile)
    return found


async def _log_in(page: OpenPage, writes: int) -> None:
    await page.run("login()")
    await page.run("messages(0, 500)")
    if writes:
        await page.run("start()")
        await page.run(f"grown({writes})")
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
        with _round(costs):
            _timed(costs, "fingerprint_ms", lambda: fingerprint(self._profile))

    def backup(self, costs: Costs, digests: Digests) -> None:
        """Take, describe and pack a snapshot; what `digests` knows is not read to describe it."""
        self._work.mkdir()
        files = self._work / "files"
        archive = self._work / "archive"
        with _round(costs):
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
            packed = _timed(costs, "archive_ms", lambda: pack(files, manifest, archive, keyring=self.keyring))
        costs.add("files_bytes", taken.size_bytes)
        if hot is not None:
            costs.add("hot_copy_bytes", len(hot))
        costs.add("archive_bytes", packed.size_bytes)
        shutil.rmtree(self._work)


@contextmanager
def _round(costs: Costs) -> Iterator[None]:
    began_mono_s, began_cpu_s = time.perf_counter(), time.thread_time()
    yield
    costs.add("cpu_ms", (time.thread_time() - began_cpu_s) * 1000)
    costs.add("all_ms", (time.perf_counter() - began_mono_s) * 1000)


def _timed(costs: Costs, name: str, work: Callable[[], T]) -> T:
    began_mono_s = time.perf_counter()
    result = work()
    costs.add(name, (time.perf_counter() - began_mono_s) * 1000)
    return result
