"""The steps of a copy that need no store: the product's, and plain `zipfile` on the same trees. For `bench.archive`."""

import random
import shutil
import time
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from bench.profiles import Login, copy_to
from daemon.core.clock import utc_now
from shards import process
from shards.archive.bounds import Expected, UnpackLimits
from shards.archive.keyring import Keyring
from shards.archive.pack import ManifestFacts, Packed, describe, pack
from shards.archive.unpack import unpack, verify
from shards.profile.snapshot import take_live

DISK_THREADS: int = process._THREADS
"""As many as a shard has for its disk."""
CHROMIUM = "156.0.0.0"
TOKEN = 1
_ZIPFILE = {
    "zipfile, deflate 1": (zipfile.ZIP_DEFLATED, 1),
    "zipfile, deflate 6": (zipfile.ZIP_DEFLATED, 6),
    "zipfile, stored": (zipfile.ZIP_STORED, None),
}


@dataclass(kw_only=True)
class Pace:
    """How fast one step was: a number for each time that it was done for all sessions."""

    step: str
    way: str
    threads: int
    sessions_per_s: list[float] = field(default_factory=list)
    cpu_ms: list[float] = field(default_factory=list)
    """Of this process, for each session."""


class Paces:
    """All paces of one measurement; what is done while `warm` is false is not kept."""

    def __init__(self, way: str) -> None:
        self._way = way
        self._found: dict[tuple[str, int], Pace] = {}
        self.warm = False

    @property
    def found(self) -> list[Pace]:
        """All of them, in the order in which they came first."""
        return list(self._found.values())

    def add(self, step: str, threads: int, count: int, *, wall_s: float, cpu_s: float) -> None:
        """Note that a step was done for `count` sessions."""
        if self.warm:
            pace = self._found.setdefault((step, threads), Pace(step=step, way=self._way, threads=threads))
            pace.sessions_per_s.append(count / wall_s)
            pace.cpu_ms.append(cpu_s * 1000 / count)

    def each(self, step: str, count: int, threads: int, work: Callable[[int], object]) -> None:
        """Do `work` for the number of each session, and note how fast that was."""
        with ThreadPoolExecutor(threads) as pool:
            began, began_cpu = time.perf_counter(), time.process_time()
            for _ in pool.map(work, range(count)):
                pass
            wall_s, cpu_s = time.perf_counter() - began, time.process_time() - began_cpu
        self.add(step, threads, count, wall_s=wall_s, cpu_s=cpu_s)


@dataclass(frozen=True, kw_only=True)
class Sessions:
    """Sessions with a profile each, and room for their copies, in one place."""

    folder: Path
    logins: list[Login]

    @classmethod
    def copied(cls, logins: list[Login], folder: Path, count: int, *, seed: int) -> "Sessions":
        """Copy the logins to `count` profiles below `folder`."""
        places = [folder / "profiles" / f"session-{number}" for number in range(count)]
        return cls(folder=folder, logins=copy_to(logins, places, random.Random(seed)))

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self.logins)

    def room(self, name: str) -> Path:
        """Return an empty directory of that name."""
        room = self.folder / name
        shutil.rmtree(room, ignore_errors=True)
        room.mkdir()
        return room

    def snapshot(self, number: int, into: Path) -> None:
        """Take a snapshot of one profile, as of a live one."""
        login = self.logins[number]
        take_live(login.profile, into / str(number), extra=login.extra)

    def packed(self, number: int, snapshots: Path, archives: Path, generation: int, keyring: Keyring) -> Packed:
        """Describe one snapshot, without knowing anything of its files, and pack it."""
        files = snapshots / str(number)
        return pack(files, describe(files, facts_of(number, generation)), archives / str(number), keyring=keyring)


def session_id(number: int) -> str:
    """Return the id of a session."""
    return f"session-{number}"


def facts_of(number: int, generation: int) -> ManifestFacts:
    """Return what a manifest says of a session."""
    return ManifestFacts(
        session_id=session_id(number), workspace_id="w", user_id="u", token=TOKEN, generation=generation,
        created_at=utc_now(), chromium=CHROMIUM, clean=False,
    )  # fmt: skip


def local_paces(sessions: Sessions, way: str, keyring: Keyring, repeats: int) -> list[Pace]:
    """Measure snapshot, pack, verify and unpack with one thread and with as many as a shard has."""
    paces = Paces(way)
    for threads in _rounds(paces, repeats):
        _local_round(sessions, paces, keyring, threads)
    return paces.found


def _local_round(sessions: Sessions, paces: Paces, keyring: Keyring, threads: int) -> None:
    snapshots, archives, restored = (sessions.room(name) for name in ("snapshots", "archives", "restored"))
    count, limits = sessions.count, UnpackLimits()

    def expected(number: int) -> Expected:
        return Expected(session_id=session_id(number), order=(TOKEN, 1), max_chromium=CHROMIUM)

    def check(number: int) -> None:
        archive = archives / str(number)
        verify(archive, limits=limits, keyring=keyring, expected=expected(number), work_dir=archives)

    def open_up(number: int) -> None:
        archive, into = archives / str(number), restored / str(number)
        unpack(archive, into, limits=limits, keyring=keyring, expected=expected(number), work_dir=archives)

    paces.each("snapshot", count, threads, lambda number: sessions.snapshot(number, snapshots))
    paces.each("pack", count, threads, lambda number: sessions.packed(number, snapshots, archives, 1, keyring))
    paces.each("verify", count, threads, check)
    paces.each("unpack", count, threads, open_up)


def zipfile_paces(sessions: Sessions, repeats: int) -> list[Pace]:
    """Measure `zipfile` on the trees that snapshots are. It checks CRCs only, and brings nothing to the disk."""
    snapshots = sessions.room("snapshots")
    for number in range(sessions.count):
        sessions.snapshot(number, snapshots)
    found = []
    for way, (kind, level) in _ZIPFILE.items():
        paces = Paces(way)
        for threads in _rounds(paces, repeats):
            _zipfile_round(sessions, paces, snapshots, threads, kind, level)
        found += paces.found
    return found


def _zipfile_round(
    sessions: Sessions, paces: Paces, snapshots: Path, threads: int, kind: int, level: int | None
) -> None:
    archives, restored = sessions.room("archives"), sessions.room("restored")

    def compress(number: int) -> None:
        tree = snapshots / str(number)
        with zipfile.ZipFile(archives / str(number), "w", kind, compresslevel=level) as archive:
            for path in tree.rglob("*"):
                archive.write(path, path.relative_to(tree))

    def extract(number: int) -> None:
        with zipfile.ZipFile(archives / str(number)) as archive:
            archive.extractall(restored / str(number))

    paces.each("pack", sessions.count, threads, compress)
    paces.each("unpack", sessions.count, threads, extract)


def _rounds(paces: Paces, repeats: int) -> Iterator[int]:
    """Give how many threads to use, once each to warm up and then as often as is to be measured."""
    for number in range(repeats + 1):
        paces.warm = number > 0
        yield from (1, DISK_THREADS)
