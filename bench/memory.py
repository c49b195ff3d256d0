"""How much memory a backup and a restore of a large profile take. `python -m bench.memory DIR on|off` is the child.

The child does a backup's and a restore's steps one after the other; `peaks` says what of it is counted.
"""

import asyncio
import json
import random
import shutil
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from bench.costs import HOT_COPY_LIMIT_BYTES
from bench.peaks import Peaks
from shards.archive.bounds import Expected, UnpackLimits
from shards.archive.describing import describe
from shards.archive.hot import pack_hot
from shards.archive.keyring import Keyring
from shards.archive.pack import pack
from shards.archive.unpack import unpack
from shards.profile.digests import Digests
from shards.profile.files import INDEXED_DB, LOCAL_STORAGE
from shards.profile.snapshot import take_live
from tests.integration.profile.copies import KEYRING, manifest_facts
from tests.unit.profile.leveldb_files import edit, log_file, table

_TABLE_BYTES = 2 * 2**20
_LOG_BYTES = 4 * 2**20
_BLOB_BYTES = 20 * 2**20


@dataclass(frozen=True, kw_only=True)
class Peak:
    """The most memory of one step, above what the process had before the first."""

    step: str
    encrypted: bool
    profile_bytes: int
    peak_bytes: int
    peak_anonymous_bytes: int


def make_profile(profile: Path, size_bytes: int) -> None:
    """Write a profile as LevelDB keeps it: tables, one full log and one blob; half of each can be compressed."""
    chance = random.Random(size_bytes)
    database = profile / INDEXED_DB / "https_web.whatsapp.com_0.indexeddb.leveldb"
    blobs = database.with_suffix(".blob") / "1/00"
    numbers = range(10, 10 + max(1, (size_bytes - _LOG_BYTES - _BLOB_BYTES) // _TABLE_BYTES))
    _write_database(database, chance, numbers, [_half_random(chance, 40_000) for _ in range(_LOG_BYTES // 40_000)])
    _write_database(profile / LOCAL_STORAGE, chance, (), [b"small"])
    blobs.mkdir(parents=True)
    (blobs / "2").write_bytes(_half_random(chance, _BLOB_BYTES))


async def measure_memory(work: Path, *, size_bytes: int, tell: Callable[[], object]) -> list[Peak]:
    """Measure a backup and a restore in a child process, without encryption and with it; `tell` is called for both."""
    found: list[Peak] = []
    for keys in ("off", "on"):
        directory = work / keys
        await asyncio.to_thread(make_profile, directory / "profile", size_bytes)
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-W", "ignore", "-m", "bench.memory", str(directory), keys, stdout=asyncio.subprocess.PIPE
        )
        try:
            output, _ = await child.communicate()
        finally:
            if child.returncode is None:
                child.kill()
                await child.wait()
        await asyncio.to_thread(shutil.rmtree, directory)
        if child.returncode:
            raise RuntimeError(f"the measured process ended with {child.returncode}")
        found.extend(Peak(**step) for step in json.loads(output))
        tell()
    return found


def _write_database(database: Path, chance: random.Random, tables: Iterable[int], log: list[bytes]) -> None:
    database.mkdir(parents=True)
    manifest = log_file([edit(comparator=b"idb_cmp1", log=7, new=tables, table_bytes=_TABLE_BYTES)])
    (database / "CURRENT").write_bytes(b"MANIFEST-000001\n")
    (database / "MANIFEST-000001").write_bytes(manifest)
    (database / "000007.log").write_bytes(log_file(log))
    for number in tables:
        body = _half_random(chance, _TABLE_BYTES)
        (database / f"{number:06d}.ldb").write_bytes(body[:-8] + table(number)[-8:])


def _half_random(chance: random.Random, size_bytes: int) -> bytes:
    return chance.randbytes(size_bytes // 2) + bytes(size_bytes - size_bytes // 2)


def _child(directory: Path, keyring: Keyring) -> list[dict[str, object]]:
    profile, files, archive = directory / "profile", directory / "files", directory / "archive"
    watch = Peaks()
    taken = watch.step("snapshot", lambda: take_live(profile, files, extra={}))
    manifest = watch.step(
        "describe", lambda: describe(files, manifest_facts(1), known=Digests().of(files, taken.paths))
    )
    hot = watch.step(
        "hot copy, given up", lambda: pack_hot(files, manifest, keyring=keyring, limit_bytes=HOT_COPY_LIMIT_BYTES)
    )
    assert hot is None
    watch.step("pack", lambda: pack(files, manifest, archive, keyring=keyring))
    watch.step(
        "unpack",
        lambda: unpack(
            archive, directory / "restored", limits=UnpackLimits(), keyring=keyring,
            expected=Expected(session_id="s"), work_dir=directory,
        ),
    )  # fmt: skip
    shared = {"encrypted": keyring.sealing is not None, "profile_bytes": taken.size_bytes}
    return [shared | step for step in watch.steps]


if __name__ == "__main__":
    print(json.dumps(_child(Path(sys.argv[1]), KEYRING if sys.argv[2] == "on" else Keyring({}))))
