"""How long packing and unpacking many profiles takes our own archive room. Blocking."""

import os
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from bench.wwebjs import ArchiveTime
from shards.archive.bounds import Expected, UnpackLimits
from shards.archive.describing import describe
from shards.archive.keyring import Keyring
from shards.archive.pack import pack
from shards.archive.unpack import unpack
from shards.profile.snapshot import take_clean
from tests.integration.profile.copies import manifest_facts

_PLAIN = Keyring({})


def time_archives(profiles: Mapping[str, Path], work: Path) -> list[ArchiveTime]:
    """Time backup (snapshot, manifest, archive) and restore (verify, unpack, sync) of all profiles, two ways."""
    work.mkdir()
    return [
        *_time(profiles, work / "one", "one after another", threads=1),
        *_time(profiles, work / "all", "all at once", threads=os.cpu_count() or 1),
    ]


def _time(profiles: Mapping[str, Path], work: Path, way: str, *, threads: int) -> list[ArchiveTime]:
    work.mkdir()
    places = [work / session for session in profiles]
    with ThreadPoolExecutor(threads) as pool:
        began_mono_s = time.perf_counter()
        list(pool.map(_pack, profiles.values(), places))
        packed_mono_s = time.perf_counter()
        list(pool.map(_unpack, places))
        ended_mono_s = time.perf_counter()
    size_bytes = sum((place / "archive").stat().st_size for place in places)
    return [
        ArchiveTime(step="compress", way=way, seconds=packed_mono_s - began_mono_s, size_bytes=size_bytes),
        ArchiveTime(step="extract, complete", way=way, seconds=ended_mono_s - packed_mono_s, size_bytes=None),
    ]


def _pack(profile: Path, into: Path) -> None:
    into.mkdir()
    take_clean(profile, into / "files")
    manifest = describe(into / "files", manifest_facts(1, clean=True))
    pack(into / "files", manifest, into / "archive", keyring=_PLAIN)


def _unpack(at: Path) -> None:
    unpack(
        at / "archive", at / "restored", limits=UnpackLimits(), keyring=_PLAIN,
        expected=Expected(session_id="s"), work_dir=at,
    )  # fmt: skip
